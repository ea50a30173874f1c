// A stand-in for a ComfyUI server: enough for the connection test, the health check and the model lists. It never draws.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { pause } from './program.mjs';

const one = (node, fields) => ({ [node]: { input: { required: fields } } });
const ANSWERS = {
    '/system_stats': {
        system: { os: 'posix', comfyui_version: '0.3.75', python_version: '3.12.3', ram_total: 16e9, ram_free: 8e9 },
        devices: [{ name: 'cuda:0 NVIDIA GeForce RTX 4090', type: 'cuda', index: 0, vram_total: 24e9, vram_free: 22e9 }],
    },
    '/object_info/CheckpointLoaderSimple': one('CheckpointLoaderSimple', { ckpt_name: [['sd_xl_base_1.0.safetensors', 'dreamshaper_8.safetensors'], {}] }),
    '/object_info/LoraLoader': one('LoraLoader', { lora_name: [['paper_cut.safetensors'], {}] }),
    '/object_info/KSampler': one('KSampler', { sampler_name: [['euler', 'dpmpp_2m'], {}], scheduler: [['normal', 'karras'], {}] }),
    '/queue': { queue_running: [], queue_pending: [] },
    '/history': {},
    '/prompt': { exec_info: { queue_remaining: 0 } },
};

/** Starts one; `close()` ends it, `good` says whether it is in a good mood, `delay` how many milliseconds an answer takes. */
export async function startComfyui(delay = () => 0) {
    const comfyui = { good: true };
    const server = createServer(async (request, response) => {
        const path = new URL(request.url, 'http://x').pathname;
        const known = comfyui.good && (ANSWERS[path] ?? (path.startsWith('/history/') ? {} : undefined));
        await pause(delay());
        if (path === '/prompt' && request.method === 'POST') {
            response.writeHead(400, { 'content-type': 'application/json' });
            response.end(JSON.stringify({ error: { type: 'refused', message: 'this one never draws', details: '' }, node_errors: {} }));
            return;
        }
        response.writeHead(known ? 200 : comfyui.good ? 404 : 502, { 'content-type': known ? 'application/json' : 'text/html' });
        response.end(known ? JSON.stringify(known) : '<h1>Bad Gateway</h1>');
    });
    const sockets = new Set();
    server.on('connection', socket => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
    server.on('upgrade', (request, socket) => {
        const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        const hello = Buffer.from(JSON.stringify({ type: 'status', data: { status: { exec_info: { queue_remaining: 0 } }, sid: 'x' } }));
        socket.write(Buffer.concat([Buffer.from([0x81, hello.length]), hello]));
        socket.on('error', () => {});
        socket.on('data', () => {});
    });
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    comfyui.url = `http://127.0.0.1:${server.address().port}`;
    comfyui.close = () => { for (const socket of sockets) socket.destroy(); return new Promise(done => server.close(done)); };
    return comfyui;
}
