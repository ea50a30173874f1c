// What people see when something is amiss: no tmux, a line that hangs, a hub that is gone, a screen that is small.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scene, SIZES, until, Way } from './program.mjs';
import { onLine, open, setUp, shown, shows, startTerminal, takeKeyboard, typeLine } from './screens.mjs';

// What a page that tries to reconnect complains about.
const AWAY = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK|ERR_ABORTED|WebSocket/;
const INSTALL = /need tmux, and it is not installed; install it \(Debian and Ubuntu: apt-get install tmux/;

const bare = mkdtempSync(join(tmpdir(), 'central-mcp-bare-'));
process.on('exit', () => rmSync(bare, { recursive: true, force: true }));

scene('without tmux the wall, the dialog and a terminal say what to install, until it is there', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/terminals');
    const said = page.getByRole('alert').filter({ hasText: INSTALL, visible: true });
    await said.getByRole('heading', { name: 'No terminal can run on this machine' }).waitFor();
    assert.equal(await page.getByText('No terminal yet').count(), 0, 'it is no empty wall');
    await page.getByRole('button', { name: 'Start a terminal' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('alert').filter({ hasText: INSTALL }).first().waitFor();
    watch.expect(/^answer 50\d: POST \/api\/start_terminal/, /status of 50\d/);
    await dialog.getByLabel(/^name/i).fill('early');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await until('it was tried', () => dialog.getByRole('button', { name: 'Start', exact: true }).isEnabled());
    await page.keyboard.press('Escape');
    // Installed: found without a restart, and what was said is said no more.
    symlinkSync('/usr/bin/tmux', join(bare, 'tmux'));
    await said.waitFor({ state: 'detached', timeout: 60_000 });
    await startTerminal(page, 'late', '/bin/bash --norc --noprofile');
}, { env: { PATH: bare } });

scene('keys typed into a line that hangs are told of, and the line comes back with the keyboard', async ({ hub, page, watch }) => {
    const way = await Way.to(hub.origin);
    try {
        await setUp(page, hub);
        await startTerminal(page, 'hangs');
        await open(page, `${way.origin}/terminals/hangs`);
        await onLine(page);
        await takeKeyboard(page);
        await typeLine(page, 'echo whole-$((40+2))');
        await shows(page, 'whole-42');
        watch.expect(AWAY);
        way.hang();
        await page.keyboard.type('ls');
        const typed = Date.now();
        await page.getByText(/coming back by itself/).waitFor({ timeout: 9_000 });
        assert.ok(Date.now() - typed >= 3_000, 'not at the first moment without an answer');
        const lost = page.getByRole('alert').filter({ hasText: /may not have arrived/ });
        await lost.waitFor();
        // Keys are nobody's now: not the program's, and not the page's, where h opens the history and g goes away.
        await page.keyboard.type('hgo');
        assert.equal(await page.getByRole('region', { name: 'History' }).count(), 0);
        assert.ok(page.url().endsWith('/terminals/hangs'));
        assert.ok(!(await shown(page)).includes('hgo'));
        way.goOn();
        await page.getByText('you hold the keyboard').waitFor({ timeout: 30_000 });
        await lost.waitFor();
        await lost.getByRole('button', { name: 'Understood' }).click();
        await lost.waitFor({ state: 'detached' });
        // Whether they arrived is not known: the line is emptied. By a key that bash reads in its turn: right after Ctrl C, which
        // comes to it as a signal, it loses letters, also under tmux alone.
        await page.keyboard.press('Control+u');
        await typeLine(page, 'echo again-$((40+3))');
        await shows(page, 'again-43');
        assert.ok(!(await shown(page)).includes('hgo'));
    } finally {
        way.close();
    }
});

scene('keys that nothing answers to are no trouble while the hub is there', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'quiet', 'bash --norc --noprofile -c "stty -echo; echo ready; exec cat > /dev/null"');
    await takeKeyboard(page);
    await shows(page, 'ready');
    const asked = page.waitForEvent('console', { predicate: () => false, timeout: 8_000 }).catch(() => null);
    await page.keyboard.type('secret');
    await asked;
    assert.equal(await page.getByText(/coming back by itself|may not have arrived/).count(), 0);
    await page.getByText('you hold the keyboard').waitFor();
});

scene('every page says that the hub is gone, since when, and no longer when it is back', async ({ hub, page, watch }) => {
    const way = await Way.to(hub.origin);
    try {
        await setUp(page, hub);
        await open(page, '/images');
        const words = page.getByText(/No connection to the hub since \d\d:\d\d\./);
        watch.expect(AWAY);
        await hub.down('SIGKILL');
        await words.waitFor();
        await page.keyboard.press('g');
        await page.keyboard.press('o');
        await page.waitForURL('**/overview');
        await words.waitFor();
        await hub.up();
        await words.waitFor({ state: 'detached', timeout: 30_000 });
        // One that hangs says nothing: it is asked now and then.
        await open(page, `${way.origin}/agents`);
        way.hang();
        await words.waitFor({ timeout: 40_000 });
        way.goOn();
        await words.waitFor({ state: 'detached', timeout: 30_000 });
    } finally {
        way.close();
    }
});

/** The size of the letters that the emulator draws. */
const letters = page => page.locator('.xterm-rows').evaluate(rows => parseFloat(getComputedStyle(rows).fontSize));
/** Whether the whole grid is in sight, and whether the page itself stays in place. */
const whole = page => page.locator('.glass').evaluate(glass => glass.scrollWidth <= glass.clientWidth && glass.scrollHeight <= glass.clientHeight);
const fits = page => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

/** Small letters are made readable, all is seen when asked for, and the choice is kept. */
async function readable(page) {
    await until('letters that can be read', async () => await letters(page) >= 9.5);
    assert.equal(await whole(page), false, '160 columns of them are wider than a phone');
    assert.ok(await fits(page), 'they are panned inside the terminal');
    const usual = await letters(page);
    await page.getByRole('button', { name: /larger letters/ }).click();
    await until('larger letters', async () => await letters(page) > usual);
    await page.getByRole('button', { name: /fit/ }).click();
    await until('the whole grid', async () => await whole(page) && await letters(page) < 6);
    assert.ok(await fits(page));
    await page.reload();
    await until('it is remembered', async () => await page.locator('.xterm-rows').count() > 0 && await letters(page) < 6);
    await page.getByRole('button', { name: /fit/ }).click();
    await until('letters to read again', async () => await letters(page) === usual);
}

scene('on a phone a wide terminal is read and panned, also by a guest', async ({ hub, page, context }) => {
    await setUp(page, hub);
    await startTerminal(page, 'wide-one-of-long-name');
    await page.getByRole('button', { name: 'Share' }).click();
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByRole('button', { name: 'Make a link' }).click();
    const link = await dialog.locator('.secret code').innerText();
    await page.keyboard.press('Escape');
    for (const width of [390, 360]) {
        await page.setViewportSize({ ...SIZES.phone, width });
        await open(page, '/terminals/wide-one-of-long-name');
        await onLine(page);
        const [name, menu] = await Promise.all(['.terminal > header > h2', 'details.menu > summary'].map(one => page.locator(one).boundingBox()));
        assert.ok(menu.y < name.y + name.height && menu.y + menu.height > name.y, 'the menu is in the line of the name');
        assert.ok(menu.x + menu.width <= width);
        for (const path of ['/terminals', '/machines']) {
            await open(page, path);
            const [mark, word] = await Promise.all(['.rail [aria-current=page]', '.rail [aria-current=page] .name'].map(one => page.locator(one).boundingBox()));
            assert.ok(word.x >= mark.x && word.x + word.width <= mark.x + mark.width, `the name of ${path} is inside its mark`);
            assert.ok(await fits(page));
        }
    }
    await open(page, '/terminals/wide-one-of-long-name');
    await onLine(page);
    await readable(page);
    // Who types sees what is typed, however far to the right it is.
    await onLine(page);
    await takeKeyboard(page);
    await page.locator('.screen').click();
    await page.keyboard.type('echo '.padEnd(120, 'x'));
    await until('the cursor is in sight', () => page.locator('.glass').evaluate(glass => glass.scrollLeft > 300));
    await page.keyboard.press('Enter');
    await until('and the beginning of the next line', () => page.locator('.glass').evaluate(glass => glass.scrollLeft < 50));
    const guest = await (await context({ viewport: SIZES.phone })).newPage();
    await guest.goto(link);
    await guest.getByText('live').waitFor();
    await readable(guest);
});

scene('a screen reader and the size of letters are remembered', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'kept');
    const before = await letters(page);
    await page.getByRole('button', { name: /smaller letters/ }).click();
    await until('smaller letters', async () => await letters(page) < before);
    const chosen = await letters(page);
    await page.locator('details.menu > summary').click();
    await page.getByRole('button', { name: 'Screen-reader mode' }).click();
    await page.locator('.xterm-accessibility').waitFor({ state: 'attached' });
    await page.reload();
    await onLine(page);
    await page.locator('.xterm-accessibility').waitFor({ state: 'attached' });
    assert.equal(await letters(page), chosen);
});

scene('the tiles of the wall are reached in reading order, and the list of keys tells of those in a terminal', async ({ hub, page }) => {
    await setUp(page, hub);
    for (const name of ['b', 'd', 'a', 'c', 'e']) hub.command(['terminal', 'start', name, '--', 'cat']);
    await open(page, '/terminals');
    await page.locator('.terminal-card').nth(4).waitFor();
    await page.getByRole('button', { name: 'Start a terminal' }).focus();
    const seen = [];
    for (let n = 0; n < 5; n += 1) {
        await page.keyboard.press('Tab');
        seen.push(await page.evaluate(() => {
            const [tile, style] = [document.activeElement, getComputedStyle(document.activeElement)];
            const { x, y } = tile.getBoundingClientRect();
            return { tile: tile.matches('.terminal-card'), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, x, y: y + scrollY };
        }));
    }
    assert.ok(seen.every(one => one.tile && one.ring), JSON.stringify(seen));
    const sorted = [...seen].sort((one, other) => one.y - other.y || one.x - other.x);
    assert.deepEqual(seen, sorted);
    await page.keyboard.press('?');
    const keys = page.getByRole('dialog').filter({ visible: true });
    for (const words of ['Take the keyboard', 'Hand the keyboard back', 'Larger letters', 'History; then / searches it']) {
        await keys.getByText(words, { exact: true }).waitFor();
    }
});
