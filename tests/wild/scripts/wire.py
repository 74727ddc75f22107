"""A slow wire between two network namespaces: packets of a TUN device on either side, each handed over after a delay.

wire.py NAMESPACE ADDRESS NAMESPACE ADDRESS MILLISECONDS

The kernels on both sides are real; only the time between them is made. It says `up` when packets pass.
"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x0001 | 0x1000


def tun(namespace, own, other):
    place = os.open("/run/netns/" + namespace, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(place, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"wire", IFF_TUN_WITHOUT_HEADER))
    for words in (["address", "add", own, "peer", other, "dev", "wire"], ["link", "set", "wire", "up"]):
        subprocess.run(["ip", *words], check=True)
    return device


one, own, two, other = sys.argv[1:5]
delay = float(sys.argv[5]) / 1000
ends = [tun(one, own, other), tun(two, other, own)]
across = {ends[0]: ends[1], ends[1]: ends[0]}
waiting = collections.deque()
print("up", flush=True)
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select(ends, [], [], left)
    for device in ready:
        try:
            while True:
                packet = os.read(device, 65536)
                waiting.append((time.monotonic() + delay, across[device], packet))
        except BlockingIOError:
            pass
    while waiting and waiting[0][0] <= time.monotonic():
        _, device, packet = waiting.popleft()
        os.write(device, packet)
