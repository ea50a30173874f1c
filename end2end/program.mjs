// Starts the real program and the real browser, and fails a test on anything that went wrong behind its back.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const SCREENS = join(ROOT, 'target', 'screens');
export const BIN = process.env.CENTRAL_MCP_BIN ?? join(ROOT, 'target', 'debug', 'central-mcp');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(SCREENS, { recursive: true });

export const PASSWORD = 'correct horse battery';
export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
export const pause = ms => new Promise(done => setTimeout(done, ms));

/** Asks until the answer is true; says what it waited for when it never was. */
export async function until(what, ask, ms = 15_000) {
    const end = Date.now() + ms;
    for (;;) {
        const answer = await ask();
        if (answer) return answer;
        if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}`);
        await pause(50);
    }
}

// What a machine's own settings would change has no place in a test.
export const environment = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CENTRAL_MCP_')));

/** One running hub with a data folder of its own. */
export class Program {
    /** Without the first crew, unless `crew`: their sessions and events would stand in every test's way. */
    static async start({ crew = false, env = {} } = {}) {
        assert.ok(existsSync(BIN), `${BIN} is missing; build it, or name it in CENTRAL_MCP_BIN`);
        const program = new Program();
        program.data = mkdtempSync(join(tmpdir(), 'central-mcp-e2e-'));
        program.log = '';
        program.crew = crew;
        program.env = env;
        try {
            await program.up('127.0.0.1:0');
        } catch (error) {
            await program.stop();
            throw error;
        }
        return program;
    }

    /** Starts the process and reads its address, and the set-up link if there is one, from standard output. */
    async up(listen = `127.0.0.1:${new URL(this.origin).port}`) {
        this.child = spawn(BIN, ['serve', '--data', this.data, '--listen', listen], { env: { ...environment(), CENTRAL_MCP_FIRST_CREW: String(this.crew), ...this.env } });
        this.child.stderr.setEncoding('utf8').on('data', text => { this.log += text; });
        this.ended = new Promise(done => this.child.once('exit', (code, signal) => done({ code, signal })));
        let said = '';
        const link = await new Promise((done, fail) => {
            const late = setTimeout(() => fail(new Error(`no address within 15 s; it said:\n${said}\n${this.log}`)), 15_000);
            this.child.once('error', fail);
            this.ended.then(({ code }) => fail(new Error(`it ended with ${code}:\n${this.log}`)));
            this.child.stdout.setEncoding('utf8').on('data', text => {
                said += text;
                const found = said.match(/https?:\/\/\S+(?=\s)/);
                if (found) { clearTimeout(late); done(found[0]); }
            });
        });
        this.origin = new URL(link).origin;
        this.setup = link.includes('/setup') ? link : null;
    }

    /** Ends the process as `signal` does, and waits for it. */
    async down(signal = 'SIGTERM') {
        if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
        const late = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
        const how = await this.ended;
        clearTimeout(late);
        return how;
    }

    /** Runs another command of the program on the same data, beside it; returns its standard output. */
    command(args, input = '') {
        // By the environment: what follows `--` is not ours.
        const env = { ...environment(), CENTRAL_MCP_DATA: this.data };
        const done = spawnSync(BIN, args, { input, encoding: 'utf8', env });
        assert.equal(done.status, 0, `central-mcp ${args.join(' ')}: ${done.stderr}`);
        return done.stdout.trim();
    }

    /** Makes the owner's account without a browser. */
    owner(name = 'ada') {
        this.command(['user', 'create', '--name', name, '--role', 'owner', '--password-stdin'], `${PASSWORD}\n`);
    }

    /** What the log calls an error. No test here expects one. */
    errors() {
        return this.log.split('\n').filter(line => /"level":"ERROR"|panicked/.test(line));
    }

    async stop() {
        await this.down();
        // The sessions outlive the hub on purpose.
        spawnSync('tmux', ['-S', join(this.data, 'terminals', 'tmux.sock'), 'kill-server']);
        rmSync(this.data, { recursive: true, force: true });
    }
}

/** A way to a hub that can hang: as a network does that is gone, without a word to either side. */
export class Way {
    static async to(origin) {
        const way = new Way();
        way.hangs = false;
        way.pairs = new Set();
        const target = new URL(origin);
        way.server = createServer(near => {
            const far = connect(Number(target.port), target.hostname);
            const pair = [near, far];
            way.pairs.add(pair);
            for (const [from, into] of [[near, far], [far, near]]) {
                from.on('data', bytes => into.write(bytes));
                from.on('end', () => into.end());
                from.on('error', () => into.destroy());
                from.on('close', () => { into.destroy(); way.pairs.delete(pair); });
            }
            if (way.hangs) pair.forEach(each => each.pause());
        });
        await new Promise(done => { way.server.listen(0, '127.0.0.1', done); });
        way.origin = `http://${target.hostname}:${way.server.address().port}`;
        return way;
    }

    hang() {
        this.hangs = true;
        for (const pair of this.pairs) pair.forEach(each => each.pause());
    }

    goOn() {
        this.hangs = false;
        for (const pair of this.pairs) pair.forEach(each => each.resume());
    }

    close() {
        this.server.close();
        for (const pair of this.pairs) pair.forEach(each => each.destroy());
    }
}

// A page that is left drops what it was loading: that is no fault. Everything else is.
const LEFT = /^request failed: (GET \S+|POST \/api\/\S+) net::ERR_ABORTED$/;

/** Collects what went wrong in a page, except what the test said it expects. */
class Watch {
    problems = [];
    expected = [LEFT];

    expect(...patterns) {
        this.expected.push(...patterns);
    }

    note(problem) {
        if (!this.expected.some(pattern => pattern.test(problem))) this.problems.push(problem);
    }

    page(page) {
        page.on('console', message => {
            if (['error', 'warning'].includes(message.type())) this.note(`console ${message.type()}: ${message.text()} (${message.location().url})`);
        });
        page.on('pageerror', error => this.note(`page error: ${error.message}`));
        page.on('requestfailed', request => this.note(`request failed: ${request.method()} ${new URL(request.url()).pathname} ${request.failure()?.errorText}`));
        page.on('response', response => {
            if (response.status() >= 400) this.note(`answer ${response.status()}: ${response.request().method()} ${new URL(response.url()).pathname}`);
        });
        page.on('dialog', dialog => { this.note(`dialog: ${dialog.message()}`); dialog.dismiss().catch(() => {}); });
    }
}

export async function openBrowser() {
    return chromium.launch({
        executablePath: CHROMIUM,
        headless: true,
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync'],
    });
}

/**
 * A test with a fresh hub and a browser. `body` gets `{ hub, watch, context, page }`; `context(options)` opens another
 * visitor with cookies of its own. Whatever the page or the hub complained about fails the test.
 */
export function scene(name, body, options = {}) {
    test(name, { timeout: options.timeout ?? 180_000 }, async () => {
        const watch = new Watch();
        const hub = await Program.start(options);
        let browser;
        const pages = [];
        try {
            browser = await openBrowser();
            const context = async (more = {}) => {
                const made = await browser.newContext({ baseURL: hub.origin, viewport: SIZES.desktop, colorScheme: 'dark', ...more });
                made.setDefaultTimeout(15_000);
                made.on('page', page => { pages.push(page); watch.page(page); });
                return made;
            };
            const first = await context(options.context);
            const page = await first.newPage();
            await body({ hub, watch, context, page, first });
            assert.deepEqual(watch.problems, [], 'nothing went wrong behind the test');
            assert.deepEqual(hub.errors(), [], 'the hub logged no error');
        } catch (error) {
            const file = `failed-${name.replace(/[^a-z0-9]+/gi, '-').slice(0, 60)}`;
            for (const [n, page] of pages.entries()) {
                await page.screenshot({ path: join(SCREENS, `${file}-${n}.png`) }).catch(() => {});
            }
            const said = [...watch.problems, ...hub.errors()].join('\n  ');
            if (said && !error.message.includes('nothing went wrong')) error.message += `\nalso:\n  ${said}`;
            throw error;
        } finally {
            await browser?.close();
            await hub.stop();
        }
    });
}

/** What axe-core finds against a page, one line for each kind. */
export async function axe(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => {
        const all = await window.axe.run(document, { resultTypes: ['violations'] });
        // What a program in a terminal draws has the colours that the program chose.
        const drawn = node => document.querySelector(node.target.at(-1))?.closest('.thumb, .xterm-screen');
        for (const rule of all.violations) {
            if (rule.id === 'color-contrast') rule.nodes = rule.nodes.filter(node => !drawn(node));
        }
        return all;
    });
    return found.violations.flatMap(rule => rule.nodes.map(node =>
        `${rule.id}: ${node.target.join(' ')} (${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? rule.help})`));
}
