// An application on node's own HTTP server: flags choose what it does to a share of its requests.
//
// --listen HOST:PORT  --keep-alive MS  --latency MIN:MAX  --slow SHARE:MS  --status SHARE:CODE  --rate PER_SECOND
// --crash NTH_REQUEST  --silence SHARE  --body BYTES
'use strict';
const http = require('node:http');

const flags = {};
for (let at = 2; at < process.argv.length; at += 2) flags[process.argv[at].slice(2)] = process.argv[at + 1];
const pair = (name) => (flags[name] || '0:0').split(':').map(Number);
const [least, most] = pair('latency');
const [slowShare, slowMs] = pair('slow');
const [statusShare, status] = pair('status');
const rate = Number(flags.rate || 0);
const body = 'x'.repeat(Number(flags.body || 200));
let second = 0;
let inSecond = 0;
let asked = 0;

function answer(request, response) {
  asked += 1;
  if (asked === Number(flags.crash || 0)) process.exit(1);
  if (Math.random() < Number(flags.silence || 0)) return;
  if (rate > 0) {
    const now = Math.floor(Date.now() / 1000);
    inSecond = now === second ? inSecond + 1 : 1;
    second = now;
    if (inSecond > rate) return end(response, 429);
  }
  const path = request.url.split('?')[0];
  if (path.startsWith('/missing')) return end(response, 404);
  const wait = Math.random() < slowShare ? slowMs : least + Math.random() * (most - least);
  const code = Math.random() < statusShare ? status : 200;
  if (wait > 0) setTimeout(() => end(response, code), wait);
  else end(response, code);
}

function end(response, code) {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(code === 200 ? body : JSON.stringify({ error: code }));
}

const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => answer(request, response));
});
if (flags['keep-alive']) {
  // Newer versions close a second later than they say; some of them let that be set.
  const [major, minor] = process.versions.node.split('.').map(Number);
  const later = server.keepAliveTimeoutBuffer === undefined && major === 20 && minor >= 20 ? 1000 : 0;
  server.keepAliveTimeoutBuffer = 0;
  server.keepAliveTimeout = Number(flags['keep-alive']) - later;
}
const [host, port] = [flags.listen.slice(0, flags.listen.lastIndexOf(':')), flags.listen.split(':').pop()];
server.listen(Number(port), host, 512);
