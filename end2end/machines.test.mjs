// Another machine, as a person meets it: added, joined by a real runner, worked on, cut off, back, removed.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { axe, BIN, environment, scene, SCREENS, SIZES, until } from './program.mjs';
import { onLine, open, setUp, shows, signIn, takeKeyboard, typeLine } from './screens.mjs';

const card = (page, name) => page.getByRole('article', { name, exact: true });
const dialog = page => page.getByRole('dialog').filter({ visible: true });
const thumb = (page, name) => page.locator('.tiles .terminal-card').filter({ has: page.getByText(name, { exact: true }) });
const shot = (page, name) => page.screenshot({ path: join(SCREENS, `machines-${name}.png`) });
const wide = page => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
const LINE = /^curl -fsSL (http:\/\/(?:127\.0\.0\.1|localhost):\d+)\/runner\/install\.sh \| CENTRAL_MCP_RUNNER_TOKEN=(cmj_[0-9a-f]{64}) sh -s -- --sha256 [0-9a-f]{64}$/;

/** A machine: its data folder, and the runner while it runs. */
class Machine {
    data = mkdtempSync(join(tmpdir(), 'central-mcp-e2e-machine-'));
    log = '';

    /** Starts the runner; with `words` it joins first. */
    up(...words) {
        this.child = spawn(BIN, ['runner', '--data', this.data, ...words], { env: environment() });
        for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding('utf8').on('data', text => { this.log += text; });
        this.ended = new Promise(done => this.child.once('exit', code => done(code)));
    }

    /** Ends it as a crash does. */
    async kill() {
        this.child.kill('SIGKILL');
        await this.ended;
    }

    async stop() {
        if (this.child) await this.kill();
        // The sessions outlive the runner on purpose.
        spawnSync('tmux', ['-S', join(this.data, 'terminals', 'tmux.sock'), 'kill-server']);
        rmSync(this.data, { recursive: true, force: true });
    }
}

/** Every size and theme of the open page: a picture, what axe finds, nothing too wide. */
async function looked(page, name, path, before = async () => {}) {
    const wrong = [];
    for (const [size, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: SIZES.phone })) {
        await page.setViewportSize(viewport);
        for (const theme of ['dark', 'light']) {
            await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
            if (path) await open(page, path);
            await before();
            await page.waitForTimeout(300);
            await shot(page, `${name}-${theme}-${size}`);
            wrong.push(...(await axe(page)).map(line => `${name} ${theme} ${size}: ${line}`));
            if (await wide(page) > 0) wrong.push(`${name} ${theme} ${size}: ${await wide(page)} px too wide`);
        }
    }
    await page.setViewportSize(SIZES.desktop);
    await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
    assert.deepEqual(wrong, []);
}

scene('a machine is added, works, is cut off, comes back and is removed', async ({ hub, page, context, watch }) => {
    const machine = new Machine();
    try {
        await setUp(page, hub);
        await open(page, '/overview');
        await page.keyboard.press('g');
        await page.keyboard.press('m');
        await page.waitForURL('**/machines');
        await card(page, 'hub').getByText('connected', { exact: true }).waitFor();
        await page.getByText('No other machine yet').waitFor();
        await until('the second reading says how busy the processors are', async () => /CPU\s*\d+ %/.test(await card(page, 'hub').innerText()));
        await looked(page, 'alone', '/machines');

        // What is wrong is said beside it, and what was typed stays.
        watch.expect(/answer 422: POST \/api\/add_machine/, /console error: Failed to load resource/);
        await page.getByRole('button', { name: 'Add a machine' }).click();
        await dialog(page).getByLabel('Name').fill('GPU 1');
        await dialog(page).getByRole('button', { name: 'Make the install line' }).click();
        await dialog(page).getByText(/is no name for a machine/).waitFor();
        await dialog(page).getByLabel('Name').fill('gpu-1');
        await dialog(page).getByRole('button', { name: 'Make the install line' }).click();
        const line = await dialog(page).locator('.command code').innerText();
        assert.match(line, LINE);
        const [, base, secret] = line.match(LINE);
        assert.equal(base, new URL(page.url()).origin);
        await dialog(page).getByText('only for the hub\'s own machine').waitFor();
        await dialog(page).getByText('Waiting for gpu-1 to join…').waitFor();
        await looked(page, 'line');
        await card(page, 'gpu-1').getByText('invited').waitFor({ state: 'attached' });

        machine.up('--hub', base, '--token', secret);
        await dialog(page).getByText('gpu-1 is connected').waitFor();
        await shot(page, 'joined');
        await dialog(page).getByRole('button', { name: 'Done' }).click();
        assert.ok(!(await page.content()).includes(secret), 'the secret is gone with the dialog');
        await card(page, 'gpu-1').getByText('connected', { exact: true }).waitFor();
        await until('its numbers come', async () => {
            const text = await card(page, 'gpu-1').innerText();
            return /CPU\s*\d+ %\s*\d+ cores?/.test(text) && /Memory\s*\d+ %\s*[\d.]+ of [\d.]+ GiB/.test(text) && /Disk\s*\d+ %/.test(text);
        }, 30_000);
        await looked(page, 'two', '/machines');

        // A terminal on it.
        await card(page, 'gpu-1').getByRole('link', { name: 'Start a terminal' }).click();
        await until('the machine is chosen', async () => (await dialog(page).getByLabel('Machine').inputValue()) === 'gpu-1');
        await looked(page, 'start');
        await dialog(page).getByLabel(/^name/i).fill('far');
        await dialog(page).getByLabel(/^command/i).fill('bash --norc --noprofile');
        await dialog(page).getByRole('button', { name: 'Start', exact: true }).click();
        await page.waitForURL('**/terminals/far');
        await onLine(page);
        await page.locator('.terminal .about', { hasText: 'on gpu-1' }).waitFor();
        await takeKeyboard(page);
        await typeLine(page, 'echo over-$((40+2))');
        await shows(page, 'over-42');

        // Somebody watches by a link.
        const path = await page.evaluate(() => fetch('/api/share_terminal', {
            method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'far', hours: 1 }),
        }).then(answer => answer.json()).then(made => made.path));
        const guest = await (await context()).newPage();
        await guest.goto(path);
        await shows(guest, 'over-42');
        await guest.locator('#facts', { hasText: 'on gpu-1' }).waitFor();

        // Cut off.
        await machine.kill();
        const banner = who => who.getByText(/gpu-1 is not connected, (just now|for \d+ s now)\. Its sessions run on; this is the last picture\./);
        await banner(page).waitFor({ timeout: 20_000 });
        await banner(guest).waitFor();
        await shows(page, 'over-42');
        assert.equal(await page.getByRole('button', { name: /Take|Hand back/ }).count(), 0, 'nobody takes the keyboard');
        assert.equal(await page.getByText('you hold the keyboard').count(), 0);
        await page.keyboard.type('zzz');
        await shot(guest, 'away-guest');
        await looked(page, 'away');
        // Who comes now sees that it is away, and not that it has ended.
        const late = await (await context()).newPage();
        await signIn(late);
        await late.waitForURL('**/overview');
        watch.expect(/answer 404: POST \/api\/terminal_ticket/);
        await open(late, '/terminals');
        await thumb(late, 'far').getByText('away', { exact: true }).waitFor();
        await looked(late, 'away-wall', '/terminals');
        await open(late, '/terminals/far');
        await late.getByText(/gpu-1 is not connected/).waitFor();
        await shot(late, 'away-late');
        await open(late, '/machines');
        await card(late, 'gpu-1').getByText('away', { exact: true }).waitFor();
        await looked(late, 'away-card', '/machines');
        await open(late, '/terminals/far');
        await late.getByText(/gpu-1 is not connected/).waitFor();

        // Back, by the key that it was given; nobody reloads anything.
        machine.up();
        await banner(page).waitFor({ state: 'detached', timeout: 20_000 });
        await banner(guest).waitFor({ state: 'hidden' });
        if (!(await page.getByText('you hold the keyboard').isVisible())) await takeKeyboard(page);
        await page.locator('.glass').click();
        await typeLine(page, 'echo again-$((40+3))');
        await shows(page, 'again-43');
        assert.ok(!(await page.locator('.xterm-rows').innerText()).includes('zzz'), 'what was typed while it was away is not typed later');
        await shows(guest, 'again-43');
        await shows(late, 'again-43', 20_000);
        await guest.close();
        await late.close();

        // An agent may be put there.
        await open(page, '/agents?new');
        await until('the machine is offered', async () => (await dialog(page).getByLabel('Machine').locator('option').allInnerTexts()).includes('gpu-1'));
        await looked(page, 'agent', '/agents?new', () => dialog(page).getByLabel('Machine').waitFor());

        // Again, for a machine that was set up anew; the one that is here stays until it is used.
        await open(page, '/machines');
        await card(page, 'gpu-1').getByRole('button', { name: 'Add again' }).click();
        await dialog(page).getByRole('button', { name: 'Make the install line' }).click();
        await dialog(page).getByText('Waiting for gpu-1 to join…').waitFor();
        await dialog(page).getByRole('button', { name: 'Done' }).click();
        await card(page, 'gpu-1').getByText(/A new install line is valid for another/).waitFor();
        await card(page, 'gpu-1').getByText('1 terminal', { exact: true }).waitFor();

        await card(page, 'gpu-1').getByRole('button', { name: 'Remove…' }).click();
        await dialog(page).getByText(/sessions there run on until somebody ends them/).waitFor();
        await shot(page, 'remove');
        await dialog(page).getByRole('button', { name: 'Remove machine, forget its terminals' }).click();
        await until('it is gone', async () => (await card(page, 'gpu-1').count()) === 0);
        assert.equal(await machine.ended, 3, `the runner says that it was removed:\n${machine.log}`);
        await open(page, '/terminals');
        assert.equal(await page.getByText('far', { exact: true }).count(), 0);
    } catch (error) {
        error.message += `\nthe runner said:\n${machine.log}`;
        throw error;
    } finally {
        await machine.stop();
    }
}, { timeout: 300_000 });

scene('who may not change machines sees them and no buttons for it', async ({ hub, page }) => {
    hub.owner();
    hub.command(['user', 'create', '--name', 'vera', '--role', 'viewer', '--password-stdin'], 'correct horse battery\n');
    await signIn(page, 'vera');
    await page.waitForURL('**/overview');
    await open(page, '/machines');
    await card(page, 'hub').getByText('connected', { exact: true }).waitFor();
    assert.equal(await page.getByRole('main').getByRole('button', { name: /^(Add|Remove)/ }).count(), 0);
    assert.equal(await page.getByRole('link', { name: 'Start a terminal' }).count(), 0);
});
