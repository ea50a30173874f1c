// The official TypeScript clients against a running hub: node clients.mjs URL TOKEN
// Each lists the tools, draws a picture with progress, cancels a call, and reads the picture as a resource.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as v2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import WebSocket from 'ws';

const [url, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const name = { name: 'end2end', version: '1' };
let passed = 0;

// The first SDK's WebSocket client knows no headers; browsers cannot send any, but a program's socket can.
globalThis.WebSocket = class extends WebSocket {
    constructor(address, protocols) { super(address, protocols, { headers }); }
};

async function job(label, client, call) {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(tool => tool.name).slice(0, 5), ['whoami', 'generate_image', 'get_image', 'list_images', 'cancel_image']);
    const told = [];
    const asked = { prompt: `a fox by ${label}`, width: 256, height: 256, steps: 40 };
    const drawn = await call({ name: 'generate_image', arguments: asked }, { onprogress: line => told.push(line) });
    assert.equal(drawn.structuredContent.status, 'done');
    assert.ok(told.length >= 2, `${label}: progress was told ${told.length} times`);
    assert.ok(told.every((line, n) => n === 0 || line.progress > told[n - 1].progress), `${label}: progress only grows`);
    assert.deepEqual(drawn.content.map(block => block.type), ['text', 'image', 'resource_link']);
    const { contents } = await client.readResource({ uri: drawn.content[2].uri });
    assert.equal(Buffer.from(contents[0].blob, 'base64').length, drawn.structuredContent.images[0].bytes);

    const long = { prompt: `long, by ${label}`, width: 64, height: 64, steps: 150, count: 16, cancel_on_disconnect: true };
    const stop = new AbortController();
    const cancelled = call({ name: 'generate_image', arguments: long }, { onprogress: () => stop.abort(), signal: stop.signal });
    await assert.rejects(cancelled);
    for (let n = 0; ; n += 1) {
        const open = await call({ name: 'list_images', arguments: { status: 'open' } });
        if (open.structuredContent.images.length === 0) break;
        assert.ok(n < 100, `${label}: the cancelled image goes on`);
        await new Promise(done => setTimeout(done, 100));
    }
    await client.close();
    passed += 1;
    console.log(`${label}: good`);
}

async function first(label, transport) {
    const client = new Client(name, { capabilities: {} });
    await client.connect(transport);
    await job(label, client, (params, options) => client.callTool(params, undefined, options));
}

async function second(label, options) {
    const client = new v2.Client(name, options);
    await client.connect(new v2.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    await job(label, client, (params, options) => client.callTool(params, options));
}

await first('TypeScript v1 by HTTP', new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
await first('TypeScript v1 by WebSocket', new WebSocketClientTransport(new URL(url.replace('http', 'ws'))));
await second('TypeScript v2, handshake', {});
await second('TypeScript v2, 2026-07-28', { versionNegotiation: { mode: 'auto' } });

const inspector = (...args) => JSON.parse(execFileSync('npx', ['@modelcontextprotocol/inspector', '--cli', url, '--transport', 'http',
    '--header', `Authorization: Bearer ${token}`, ...args], { encoding: 'utf8', env: process.env }));
assert.equal(inspector('--method', 'tools/list').tools[0].name, 'whoami');
const drawn = inspector('--method', 'tools/call', '--tool-name', 'generate_image', '--tool-arg', 'prompt=by the inspector', '--tool-arg', 'steps=2',
    '--tool-arg', 'width=64', '--tool-arg', 'height=64');
assert.equal(drawn.structuredContent.status, 'done');
assert.ok(inspector('--method', 'resources/read', '--uri', drawn.content[2].uri).contents[0].blob.length > 0);
passed += 1;
console.log('Inspector: good');
console.log(`${passed} passed, 0 failed`);
