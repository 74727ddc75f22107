"""The same small application for gunicorn (WSGI, `web:wsgi`) and uvicorn (ASGI, `web:asgi`).

`/late/MS` answers after so many milliseconds, anything else after a few.
"""
import asyncio
import time


def wait_of(path):
    words = path.strip("/").split("/")
    return int(words[1]) / 1000 if words[0] == "late" else 0.003


def wsgi(environ, start_response):
    body = environ["wsgi.input"]
    while body.read(65536):
        pass
    time.sleep(wait_of(environ["PATH_INFO"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(wait_of(scope["path"]))
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
