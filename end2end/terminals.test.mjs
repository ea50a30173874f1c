// Terminals as people use them: typed into and read back, handed over, shared, recorded, and there again after a restart.

import assert from 'node:assert/strict';
import { PASSWORD, scene, SIZES, until } from './program.mjs';
import { onLine, open, setUp, shown, shows, signIn, startTerminal, takeKeyboard, typeLine, watching } from './screens.mjs';

// What a page that tries to reconnect complains about.
const AWAY = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK|WebSocket/;

/** Another person with a browser of their own, on a terminal's page. */
async function person(hub, context, name, role, path) {
    hub.command(['user', 'create', '--name', name, '--role', role, '--password-stdin'], `${PASSWORD}\n`);
    const page = await (await context()).newPage();
    await page.goto('/login');
    await signIn(page, name);
    await page.waitForURL('**/overview');
    await open(page, path);
    await onLine(page);
    return page;
}

scene('what is typed into a terminal is done, shown, and seen on the wall', async ({ hub, page }) => {
    // With less motion, a change that is under way while the emulator measures its letters would leave no room for spaces.
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await setUp(page, hub);
    await startTerminal(page, 'build');
    const before = await shown(page);
    await page.keyboard.type('zz');
    await takeKeyboard(page);
    await typeLine(page, 'echo one-$((20+3))');
    await shows(page, 'one-23');
    const spacing = await page.locator('.xterm-rows span').evaluateAll(
        all => all.map(one => parseFloat(getComputedStyle(one).letterSpacing) || 0));
    assert.ok(spacing.length > 0 && spacing.every(px => Math.abs(px) < 1), `letters keep their places: ${spacing}`);
    assert.ok(!(await shown(page)).includes('zz'), 'what was typed before the keyboard was taken went nowhere');
    assert.ok(!before.includes('one-23'));
    // A way out by keys; afterwards letters are the page's own again.
    await page.keyboard.press('Control+Shift+Enter');
    await page.getByRole('button', { name: 'Take keyboard' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('x');
    await page.waitForURL('**/terminals');
    const tile = page.getByRole('link', { name: /build/ });
    await tile.locator('.thumb').filter({ hasText: 'one-23' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('one-23');
    const found = page.getByRole('region', { name: 'Found' });
    await found.getByRole('link').filter({ hasText: 'one-23' }).first().click();
    await page.waitForURL('**/terminals/build?find=one-23*');
    await page.getByRole('region', { name: 'History' }).locator('mark').filter({ hasText: 'one-23' }).first().waitFor();
    await page.keyboard.press('Escape');
});

scene('a paste of several lines is asked first, a large one is refused, and a link is confirmed', async ({ hub, page, first }) => {
    await first.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: hub.origin });
    await setUp(page, hub);
    await startTerminal(page, 'paste', 'cat');
    await takeKeyboard(page);
    const paste = async text => {
        await page.evaluate(words => navigator.clipboard.writeText(words), text);
        await page.locator('.xterm-helper-textarea').focus();
        await page.keyboard.press('Control+Shift+v');
    };
    await paste('single-line');
    await shows(page, 'single-line');
    await paste('first-line\nsecond-line\n');
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByText('Paste 2 lines?').waitFor();
    assert.ok(!(await shown(page)).includes('second-line'), 'nothing is pasted before the yes');
    await dialog.getByRole('button', { name: 'Paste', exact: true }).click();
    await shows(page, 'second-line');
    await paste('x'.repeat(40_000));
    await page.getByText(/takes 32 kB at once/).waitFor();
    await page.getByRole('button', { name: 'Understood' }).click();
    await typeLine(page, '');
    await typeLine(page, 'see https://example.org/here now');
    await shows(page, 'https://example.org/here');
    const link = await page.locator('.xterm-rows > div').filter({ hasText: 'https://example.org/here' }).last().boundingBox();
    const cell = link.height * 0.45;
    await page.mouse.move(link.x + 10 * cell, link.y + link.height / 2);
    await page.waitForTimeout(300);
    await page.mouse.click(link.x + 10 * cell, link.y + link.height / 2);
    await dialog.getByText('https://example.org/here').waitFor();
    await dialog.getByRole('button', { name: 'Stay' }).click();
});

scene('who only looks cannot type, and the keyboard goes from hand to hand', async ({ hub, page, context }) => {
    await setUp(page, hub);
    await startTerminal(page, 'shared');
    const viewer = await person(hub, context, 'vera', 'viewer', '/terminals/shared');
    const other = await person(hub, context, 'bob', 'operator', '/terminals/shared');
    await watching(page, '3 watching');
    assert.equal(await viewer.getByRole('button', { name: /take/i }).count(), 0, 'a viewer is offered no keyboard');
    await takeKeyboard(page);
    await typeLine(page, 'echo by-$((1+1))-ada');
    for (const each of [page, viewer, other]) await shows(each, 'by-2-ada');
    await viewer.locator('.screen').click();
    await viewer.keyboard.type('intruder');
    await other.getByText('ada holds the keyboard').waitFor();
    await other.getByRole('button', { name: 'Take over' }).click();
    await other.getByRole('dialog').getByRole('button', { name: /take over/i }).click();
    await other.getByText('you hold the keyboard').waitFor();
    await page.getByText('bob holds the keyboard').waitFor();
    await page.keyboard.type('too-late');
    await typeLine(other, 'echo by-$((1+2))-bob');
    for (const each of [page, viewer, other]) await shows(each, 'by-3-bob');
    const text = await shown(page);
    assert.ok(!text.includes('intruder') && !text.includes('too-late'), 'only who held it was heard');
    await other.getByRole('button', { name: /hand back/i }).click();
    await page.getByRole('button', { name: 'Take keyboard' }).waitFor();
});

scene('a restart of the hub brings the same screen and the keyboard back', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await startTerminal(page, 'stays');
    await takeKeyboard(page);
    await typeLine(page, 'echo before-$((40+2))');
    await shows(page, 'before-42');
    await page.evaluate(() => { window.sameDocument = true; });
    watch.expect(AWAY);
    await hub.down('SIGKILL');
    await page.getByText(/coming back by itself/).waitFor();
    // Long enough that the page asks for its list in vain: what it knows stays.
    await page.waitForEvent('requestfailed', request => request.url().endsWith('/api/list_terminals'));
    await page.waitForTimeout(200);
    assert.ok((await shown(page)).includes('before-42'), 'the last picture stays');
    await page.locator('.side').getByText('stays').waitFor();
    await page.getByText(/1 running/).waitFor();
    await hub.up();
    await page.getByText('you hold the keyboard').waitFor({ timeout: 25_000 });
    assert.ok((await shown(page)).includes('before-42'), 'the session went on without the hub');
    await typeLine(page, 'echo after-$((40+3))');
    await shows(page, 'after-43');
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');
}, { timeout: 120_000 });

scene('a share link shows the terminal to a stranger, read-only, until it is ended', async ({ hub, page, context, watch }) => {
    await setUp(page, hub);
    await startTerminal(page, 'public');
    await takeKeyboard(page);
    await typeLine(page, 'echo shown-$((5+5))');
    await shows(page, 'shown-10');
    await page.getByRole('button', { name: 'Share' }).click();
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByRole('button', { name: 'Make a link' }).click();
    const link = await dialog.locator('.secret code').innerText();
    assert.ok(link.startsWith(`${hub.origin}/s#`), link);
    const guest = await (await context()).newPage();
    await guest.goto(link);
    await shows(guest, 'shown-10');
    await guest.getByText('live').waitFor();
    assert.equal(await guest.locator('script[src*=central-mcp]').count(), 0, 'it loads only what a terminal needs');
    await guest.locator('#screen').click();
    await guest.keyboard.type('by-a-guest');
    await page.keyboard.press('Escape');
    await watching(page, /1 by a link/);
    await guest.setViewportSize(SIZES.phone);
    assert.equal(await guest.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'it fits a phone');
    assert.ok(!(await shown(page)).includes('by-a-guest'));
    watch.expect(/^answer 40[134]: POST \/s\//, /status of 40[134]/);
    await page.getByRole('button', { name: 'Share' }).click();
    await dialog.getByRole('button', { name: 'End it' }).click();
    await guest.getByText(/link has ended/i).waitFor();
    assert.equal(await guest.getByText('shown-10').count(), 0, 'what was shared is taken away at once');
    await guest.reload();
    await guest.getByText(/ended|expired|not (good|valid)|no such/i).first().waitFor();
});

scene('a recording is made, played, sought in and downloaded', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'taped');
    await takeKeyboard(page);
    const choose = async name => {
        await page.locator('details.menu > summary').click();
        await page.getByRole('button', { name }).click();
    };
    await choose('Record its output');
    await page.locator('.rec').waitFor();
    await page.locator('.screen').click();
    await typeLine(page, 'echo early-$((1+0))');
    await shows(page, 'early-1');
    await page.waitForTimeout(2_500);
    await typeLine(page, 'clear; echo late-$((1+1))');
    await shows(page, 'late-2');
    await choose('Stop recording');
    await page.locator('.rec').waitFor({ state: 'detached' });
    await choose('Recordings…');
    // The last words are written a moment after the recording was stopped.
    const row = page.getByRole('dialog').filter({ visible: true }).getByRole('row').filter({ has: page.locator('a.play') }).first();
    await row.getByText(/^\d+:\d\d$/).waitFor();
    await row.locator('a.play').click();
    await page.waitForURL('**/recordings/*');
    await page.getByRole('heading', { name: 'Recording of taped' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Back to taped' }).getAttribute('href'), '/terminals/taped');
    const play = page.getByRole('button', { name: /^(play|pause)/i });
    await until('it is there', () => play.isEnabled());
    await page.getByRole('radio', { name: '8×' }).click();
    await play.click();
    await shows(page, 'late-2', 20_000);
    const position = page.getByRole('slider', { name: 'Position' });
    await until('it stops at its end', async () => /play/i.test(await play.innerText()));
    await position.fill('0');
    assert.ok(!(await shown(page)).includes('late-2'), 'sought back');
    await position.evaluate(field => { field.value = field.max; field.dispatchEvent(new Event('input', { bubbles: true })); });
    await shows(page, 'late-2');
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
    assert.match(download.suggestedFilename(), /\.cast$/);
});

scene('a phone has keys, a box to write in, and no sideways scroll', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'phone');
    await page.setViewportSize(SIZES.phone);
    await open(page, '/terminals/phone');
    await onLine(page);
    await takeKeyboard(page);
    await page.getByLabel('Text to send').fill('echo thumb-$((2+2))');
    await page.getByRole('button', { name: 'Send' }).click();
    await shows(page, 'thumb-4');
    await page.getByRole('button', { name: 'Up', exact: true }).click();
    await page.getByRole('button', { name: 'Enter', exact: true }).click();
    await until('the last command ran again', async () => (await shown(page)).split('thumb-4').length >= 3);
    await page.getByRole('button', { name: 'Ctrl' }).click();
    await page.keyboard.type('l');
    await until('Ctrl L cleared the screen', async () => !(await shown(page)).includes('thumb-4'));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'no sideways scroll');
    await page.getByRole('button', { name: /hand back/i }).click();
    await page.getByLabel('Text to send').waitFor({ state: 'hidden' });
});
