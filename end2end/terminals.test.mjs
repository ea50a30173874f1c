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
    const end = Number(await position.inputValue());
    await position.press('ArrowLeft');
    await until('five seconds back, or at the beginning', async () =>
        Math.abs(Number(await position.inputValue()) - Math.max(0, end - 5_000)) < 2);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
    assert.match(download.suggestedFilename(), /\.cast$/);
});

scene('who holds the keyboard types into the terminal, whatever was pressed before', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'held');
    await takeKeyboard(page);
    const here = page.url();
    const tools = [
        () => page.getByRole('button', { name: 'A+' }).click(),
        () => page.getByRole('button', { name: 'A−' }).click(),
        () => page.getByRole('button', { name: 'fit' }).click(),
        async () => {
            await page.getByRole('button', { name: 'history' }).click();
            await page.getByRole('searchbox', { name: 'Find in these lines' }).waitFor();
            await page.getByRole('button', { name: 'Close the history' }).click();
        },
        async () => {
            await page.getByRole('button', { name: 'history' }).click();
            const search = page.getByRole('searchbox', { name: 'Find in these lines' });
            await until('the cursor is in the search', () => search.evaluate(field => field === document.activeElement));
            await page.keyboard.type('abc');
            await page.keyboard.press('Escape');
            assert.equal(await search.inputValue(), '', 'Esc first clears the search');
            await page.keyboard.press('Escape');
            await search.waitFor({ state: 'detached' });
        },
        async () => {
            await page.locator('details.menu > summary').click();
            await page.getByRole('button', { name: 'Screen-reader mode' }).click();
        },
        async () => {
            await page.locator('details.menu > summary').click();
            await page.getByRole('button', { name: 'Stop screen-reader mode' }).click();
        },
        async () => {
            await page.locator('details.menu > summary').click();
            await page.keyboard.press('Escape');
            await page.locator('details.menu[open]').waitFor({ state: 'detached' });
        },
        async () => {
            await page.locator('details.menu > summary').click();
            await page.locator('.terminal > header h2').first().click();
            await page.locator('details.menu[open]').waitFor({ state: 'detached' });
        },
        // Where nothing has the focus.
        () => page.evaluate(() => document.activeElement.blur()),
    ];
    for (const [n, tool] of tools.entries()) {
        await tool();
        await typeLine(page, `echo go-$((${n}+100))`);
        await shows(page, `go-${n + 100}`);
        assert.equal(page.url(), here);
    }
    assert.equal(await page.getByRole('region', { name: 'History' }).count(), 0, 'no letter was a shortcut');
    // Also where nobody types, Esc closes what lies open before it leaves.
    await page.getByRole('button', { name: /hand back/i }).click();
    await page.getByRole('button', { name: 'Take keyboard' }).waitFor();
    await page.locator('details.menu > summary').click();
    await page.keyboard.press('Escape');
    await page.locator('details.menu[open]').waitFor({ state: 'detached' });
    assert.equal(page.url(), here);
    await takeKeyboard(page);
    // One's own other window is nobody else.
    const second = await page.context().newPage();
    await open(second, '/terminals/held');
    await second.getByText('you hold the keyboard in another window').waitFor();
    await second.getByRole('button', { name: 'Take over here' }).waitFor();
    await second.close();
});

scene('a line found in all history is shown in its place, however far up', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'long');
    await takeKeyboard(page);
    await typeLine(page, 'seq -f line-%g 1 9000; echo all-$((1+1))');
    await shows(page, 'all-2', 30_000);
    await open(page, '/terminals');
    const search = page.getByRole('searchbox', { name: 'Find in all history' });
    await search.fill('l');
    await page.getByText('Type at least two characters.').waitFor();
    await search.fill('line-3456');
    await page.getByRole('region', { name: 'Found' }).getByRole('link').filter({ hasText: 'line-3456' }).first().click();
    const history = page.getByRole('region', { name: 'History' });
    const mark = history.locator('mark').filter({ hasText: 'line-3456' });
    await mark.waitFor();
    assert.match(await history.locator('pre').innerText(), /line-3455\n\s*line-3456\s*\n\s*line-3457/);
    await until('it is in sight', () => mark.evaluate(element => {
        const [line, room] = [element, element.closest('.said')].map(one => one.getBoundingClientRect());
        return line.top >= room.top && line.bottom <= room.bottom;
    }));
    // A search here begins with what is loaded, says so, and goes through all of it when asked.
    await open(page, '/terminals/long');
    await onLine(page);
    await page.getByRole('button', { name: 'history' }).click();
    await history.getByRole('searchbox').fill('line-12');
    await history.getByText(/^Searched are the newest 1000 lines/).waitFor();
    await history.getByText('No loaded line holds this.').waitFor();
    await history.getByRole('button', { name: 'Search all' }).click();
    await history.locator('mark').first().waitFor();
    assert.equal(await history.getByText(/Searched are/).count(), 0);
});

scene('what is said over a terminal does not cover it, and goes by itself', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'plain');
    await page.getByRole('button', { name: 'copy' }).click();
    const words = page.getByText(/Nothing is selected/);
    const [strip, screen] = [await words.boundingBox(), await page.locator('.screen').boundingBox()];
    assert.ok(strip.y + strip.height <= screen.y, 'it stands above the screen');
    await words.waitFor({ state: 'detached', timeout: 9_000 });
});

scene('the palette finds terminals by their names', async ({ hub, page }) => {
    await setUp(page, hub);
    await startTerminal(page, 'zebra');
    await open(page, '/overview');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('zebr');
    await page.getByRole('option', { name: 'zebra' }).waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/terminals/zebra');
});

scene('an ended terminal of an agent starts the agent again', async ({ hub, page }) => {
    await setUp(page, hub);
    await open(page, '/agents?new');
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByLabel('Slug').fill('once');
    await dialog.getByLabel('Program', { exact: true }).selectOption({ label: 'Plain shell' });
    await dialog.getByRole('button', { name: 'Save and start' }).click();
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByText('stopped', { exact: true }).first().waitFor();
    await open(page, '/terminals/agent-once');
    await page.getByRole('button', { name: 'Start the agent' }).click();
    await onLine(page);
});

scene('what is started again comes back by itself to who watched it, by account or by link', async ({ hub, page, context }) => {
    await setUp(page, hub);
    await startTerminal(page, 'phoenix', 'bash -c "echo first-life; exec cat"');
    await page.getByRole('button', { name: 'Share' }).click();
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByRole('button', { name: 'Make a link' }).click();
    const guest = await (await context()).newPage();
    await guest.goto(await dialog.locator('.secret code').innerText());
    await shows(guest, 'first-life');
    hub.command(['terminal', 'stop', 'phoenix']);
    await dialog.getByText('It does not run now.').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Start again' }).waitFor();
    assert.equal(await page.locator('.terminal > footer').getByText(/watching/).count(), 0, 'of who watches nothing is known now');
    await guest.getByText(/session has ended/).waitFor();
    assert.equal(await guest.getByText('first-life').count(), 0);
    hub.command(['terminal', 'start', 'phoenix', '--', 'bash', '-c', 'echo second-life; exec cat']);
    await shows(page, 'second-life');
    await shows(guest, 'second-life');
    await guest.getByText('live').waitFor();
    assert.equal(await guest.getByText(/session has ended/).isVisible(), false);
});

scene('what a program that failed said last stands in its terminal', async ({ hub, page }) => {
    await setUp(page, hub);
    hub.command(['terminal', 'start', 'fails', '--', 'sh', '-c', 'echo the reason; exit 7']);
    await until('it has ended', () => JSON.parse(hub.command(['terminal', 'list', '--json'])).every(one => one.name !== 'fails' || one.state === 'ended'));
    await open(page, '/terminals/fails');
    await page.getByText(/Its program ended with status 7/).waitFor();
    await page.getByText('the reason', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Start again' }).waitFor();
});

scene('an unknown recording is said to be one, and by keys one goes five seconds', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    watch.expect(/answer 404: GET \/casts\//, /status of 404/);
    await open(page, '/recordings/00000000-0000-7000-8000-000000000000');
    await page.getByText(/no such recording|leads to no recording/i).first().waitFor();
    assert.equal(await page.getByText('1970').count(), 0);
    assert.equal(await page.getByRole('link', { name: 'Download' }).filter({ visible: true }).count(), 0);
});

scene('a phone has keys, a box to write in, and no sideways scroll', async ({ hub, page, first }) => {
    await setUp(page, hub);
    await startTerminal(page, 'phone');
    await page.setViewportSize(SIZES.phone);
    await open(page, '/terminals/phone');
    await onLine(page);
    await takeKeyboard(page);
    await page.getByLabel('Text to send').fill('echo thumb-$((2+2))');
    await page.getByRole('button', { name: 'Send' }).click();
    await shows(page, 'thumb-4');
    const box = page.getByLabel('Text to send');
    // Several lines are asked first; what is too much stays where it is.
    await box.fill('echo first\necho second');
    await page.getByRole('button', { name: 'Send' }).click();
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByText('Paste 2 lines?').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await box.inputValue(), 'echo first\necho second');
    await box.fill('x'.repeat(40_000));
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/takes 32 kB at once/).waitFor();
    assert.equal((await box.inputValue()).length, 40_000, 'nothing is cut, nothing is lost');
    // The clipboard, not the box; where it may not be read, that is said.
    await first.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: hub.origin });
    await page.evaluate(() => navigator.clipboard.writeText('echo from-the-clipboard'));
    await page.getByRole('button', { name: 'Paste', exact: true }).click();
    await shows(page, 'from-the-clipboard');
    await box.fill('');
    await page.getByRole('button', { name: 'Enter', exact: true }).click();
    await first.clearPermissions();
    await page.getByRole('button', { name: 'Paste', exact: true }).click();
    await page.getByText(/does not let this page read the clipboard/).waitFor();
    await until('the cursor is in the box', () => box.evaluate(field => field === document.activeElement));
    await box.fill('echo thumb-$((2+2))');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('it ran', async () => (await shown(page)).split('thumb-4').length >= 3);
    await page.getByRole('button', { name: 'Up', exact: true }).click();
    await page.getByRole('button', { name: 'Enter', exact: true }).click();
    await until('the last command ran again', async () => (await shown(page)).split('thumb-4').length >= 4);
    await page.getByRole('button', { name: 'Ctrl' }).click();
    await page.keyboard.type('l');
    await until('Ctrl L cleared the screen', async () => !(await shown(page)).includes('thumb-4'));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'no sideways scroll');
    await page.getByRole('button', { name: /hand back/i }).click();
    await page.getByLabel('Text to send').waitFor({ state: 'hidden' });
});
