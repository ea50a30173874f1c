// Other people's software at our door: the conformance suite and the official SDK clients, against the real program.
// Needs Node 22 or newer, which the suite asks for; `cargo xtask test` brings one.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import WebSocket from 'ws';
import { Program, pause, until } from '../program.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ABOUT = { name: 'end2end', version: '1' };
const { CENTRAL_MCP_CONFORMANCE: FIXTURES, CENTRAL_MCP_PYTHON: PYTHON, CENTRAL_MCP_BIN: BIN } = process.env;

/** Runs a program to its end; fails with all it said unless it ends well. */
async function run(file, ...args) {
    try {
        return (await promisify(execFile)(file, args, { cwd: HERE, encoding: 'utf8', maxBuffer: 64 << 20, timeout: 120_000 })).stdout;
    } catch (error) {
        throw new Error(`${file} ${args.slice(0, 2).join(' ')} failed:\n${error.stdout}\n${error.stderr}`);
    }
}

/** A command of a package in node_modules, run by this Node: the system's may be too old for it. */
const tool = (path, ...args) => run(process.execPath, join(HERE, 'node_modules', '@modelcontextprotocol', path), ...args);

for (const revision of ['2025-11-25', '2026-07-28']) {
    test(`every scenario that ${revision} requires passes`, async () => {
        assert.ok(FIXTURES, 'CENTRAL_MCP_CONFORMANCE names the server with the fixtures');
        const server = spawn(FIXTURES, ['0'], { stdio: ['ignore', 'pipe', 'inherit'] });
        const out = mkdtempSync(join(tmpdir(), 'central-mcp-conformance-'));
        try {
            const [said] = await once(server.stdout.setEncoding('utf8'), 'data');
            const report = await tool('conformance/dist/index.js', 'server', '--url', said.split(' ')[0], '--requirements', revision, '-o', out);
            const [, passed, failed] = report.match(/Total: (\d+) passed, (\d+) failed/);
            console.log(`${revision}: ${passed} checks passed, ${failed} failed; those are of scenarios that are not required`);
            assert.ok(Number(passed) >= 83, report);
        } finally {
            server.kill();
            rmSync(out, { recursive: true, force: true });
        }
    });
}

let hub, url, headers, token;

before(async () => {
    hub = await Program.start();
    url = `${hub.origin}/mcp`;
    token = hub.command(['token', 'create', '--name', 'end2end', '--role', 'agent', '--agent', 'fox', '--outside']);
    headers = { Authorization: `Bearer ${token}` };
});

after(async () => {
    const errors = hub.errors();
    await hub.stop();
    assert.deepEqual(errors, [], 'the hub logged no error');
});

/** The main job as an agent does it: list the tools, draw with progress, read the picture, cancel another. */
async function job(label, client, call) {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(tool => tool.name), ['whoami', 'generate_image', 'get_image', 'list_images', 'cancel_image']);
    const told = [];
    const asked = { prompt: `a fox by ${label}`, width: 256, height: 256, steps: 40 };
    const drawn = await call({ name: 'generate_image', arguments: asked }, { onprogress: line => told.push(line) });
    assert.equal(drawn.structuredContent.status, 'done');
    assert.ok(told.length >= 2, `progress was told ${told.length} times`);
    assert.ok(told.every((line, n) => n === 0 || line.progress > told[n - 1].progress), 'progress only grows');
    assert.deepEqual(drawn.content.map(block => block.type), ['text', 'image', 'resource_link']);
    const { contents } = await client.readResource({ uri: drawn.content[2].uri });
    assert.equal(Buffer.from(contents[0].blob, 'base64').length, drawn.structuredContent.images[0].bytes);

    const long = { prompt: `long, by ${label}`, width: 64, height: 64, steps: 150, count: 16, cancel_on_disconnect: true };
    const stop = new AbortController();
    await assert.rejects(call({ name: 'generate_image', arguments: long }, { onprogress: () => stop.abort(), signal: stop.signal }));
    await until('the image is cancelled', async () => {
        const found = await call({ name: 'list_images', arguments: { text: long.prompt } });
        return found.structuredContent.images[0]?.status === 'cancelled';
    });
    await client.close();
}

async function first(label, transport) {
    const client = new Client(ABOUT, { capabilities: {} });
    await client.connect(transport);
    await job(label, client, (params, options) => client.callTool(params, undefined, options));
}

async function second(label, options) {
    const client = new v2.Client(ABOUT, options);
    await client.connect(new v2.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    await job(label, client, (params, options) => client.callTool(params, options));
}

test('TypeScript SDK v1 by HTTP', () => first('v1', new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })));

test('TypeScript SDK v1 by WebSocket', async () => {
    // Its WebSocket client knows no headers; a browser cannot send any, but a program's socket can.
    globalThis.WebSocket = class extends WebSocket {
        constructor(address, protocols) { super(address, protocols, { headers }); }
    };
    await first('v1, WebSocket', new WebSocketClientTransport(new URL(url.replace('http', 'ws'))));
});

test('TypeScript SDK v2 with a handshake', () => second('v2', {}));

test('TypeScript SDK v2 by 2026-07-28', () => second('v2, modern', { versionNegotiation: { mode: 'auto' } }));

test('the stdio bridge, by the TypeScript SDK v1', async () => {
    const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js');
    await first('stdio', new StdioClientTransport({ command: BIN, args: ['mcp', '--url', url], env: { CENTRAL_MCP_TOKEN: token } }));
});

test('the Inspector', async () => {
    const inspector = async (...args) => JSON.parse(await tool('inspector/clients/launcher/build/index.js', '--cli', url, '--transport', 'http',
        '--header', `Authorization: Bearer ${token}`, ...args));
    assert.equal((await inspector('--method', 'tools/list')).tools[0].name, 'whoami');
    const drawn = await inspector('--method', 'tools/call', '--tool-name', 'generate_image', '--tool-arg', 'prompt=by the inspector',
        '--tool-arg', 'steps=2', '--tool-arg', 'width=64', '--tool-arg', 'height=64');
    assert.equal(drawn.structuredContent.status, 'done');
    const read = await inspector('--method', 'resources/read', '--uri', drawn.content[2].uri);
    assert.ok(read.contents[0].blob.length > 0);
});

// Of progress and cancel, the Inspector's CLI (2.12.0) can do this much. It sends a progress token only if one is given as
// metadata, and shows nothing of what then comes: it makes its client with `progress: false`, and no option changes that. It has
// no command for cancelling and no handler for Ctrl-C outside of a sign-in, so it never sends notifications/cancelled or
// tasks/cancel: its end is a closed connection. By a handshake that cancels an image that asked for it; by 2026-07-28 the CLI
// declares the Tasks extension and holds no call open, so there is nothing to break off and the image goes on.
for (const era of ['legacy', 'modern']) {
    test(`the Inspector with a progress token, and ended in the middle, ${era}`, async () => {
        const args = asked => [join(HERE, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js'),
            '--cli', url, '--transport', 'http', '--protocol-era', era, '--header', `Authorization: Bearer ${token}`,
            '--method', 'tools/call', '--tool-name', 'generate_image', '--tool-metadata', 'progressToken=inspector',
            '--tool-args-json', JSON.stringify({ width: 64, height: 64, ...asked })];
        const drawn = JSON.parse(await run(process.execPath, ...args({ prompt: `told, ${era}`, steps: 40 })));
        assert.equal(drawn.structuredContent.status, 'done');

        const prompt = `left, ${era}`;
        const watcher = new v2.Client(ABOUT, {});
        await watcher.connect(new v2.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
        const status = async () => {
            const found = await watcher.callTool({ name: 'list_images', arguments: { text: prompt } });
            return found.structuredContent.images[0]?.status;
        };
        const left = spawn(process.execPath, args({ prompt, steps: 150, count: 16, cancel_on_disconnect: true }), { cwd: HERE, stdio: 'ignore' });
        try {
            await until('it is drawn', async () => await status() === 'running', 30_000);
        } finally {
            left.kill('SIGINT');
        }
        if (era === 'modern') {
            await pause(1_000);
            const [{ id, status }] = (await watcher.callTool({ name: 'list_images', arguments: { text: prompt } })).structuredContent.images;
            assert.equal(status, 'running', 'a task outlives its client');
            await watcher.callTool({ name: 'cancel_image', arguments: { id } });
        }
        await until('it is cancelled', async () => await status() === 'cancelled');
        await watcher.close();
    });
}

test('the Python SDK', async () => {
    assert.ok(PYTHON, 'CENTRAL_MCP_PYTHON names a Python with the SDK');
    assert.match(await run(PYTHON, 'clients.py', url, token), /2 passed, 0 failed/);
});
