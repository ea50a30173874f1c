// What one person does is seen by the other, and a restart or a lost session is told truthfully.

import assert from 'node:assert/strict';
import { PASSWORD, scene, until } from './program.mjs';
import { drawButton, drawing, fillForm, inGallery, live, open, setUp, signIn } from './screens.mjs';

// What a page that tries to reconnect complains about.
const AWAY = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK/;

scene('what one tab draws is in the other within two seconds', async ({ hub, page, first }) => {
    await setUp(page, hub);
    const other = await first.newPage();
    await open(page, '/images');
    await open(other, '/images');
    const words = 'seen from both sides';
    await fillForm(page, { prompt: words, steps: 60 });
    await drawButton(page).click();
    await other.getByText(words).first().waitFor({ timeout: 2_000 });
    await drawing(other, 60).first().waitFor({ timeout: 2_000 });
    await inGallery(page, words).locator('img').first().waitFor();
    await inGallery(other, words).locator('img').first().waitFor({ timeout: 2_000 });
    // What the command line changes comes too.
    await open(other, '/overview');
    hub.command(['token', 'create', '--name', 'made beside it', '--agent', 'b', '--outside']);
    await other.getByText('made beside it').first().waitFor({ timeout: 4_000 });
});

scene('what changes between the render of a page and its first word from the hub is not missed', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    watch.expect(/502/);
    let release;
    const gate = new Promise((resolve) => { release = resolve; });
    // A slow line, and a proxy that answers for a hub it does not reach: the browser gives such a stream up for good.
    let asked = 0;
    await page.route(/\/live(\?|$)/, async (route) => {
        asked += 1;
        if (asked > 1) return route.continue();
        await gate;
        return route.fulfill({ status: 502, body: '' });
    });
    await page.goto('/overview');
    await until('the page asks', async () => asked === 1);
    hub.command(['token', 'create', '--name', 'made in between', '--agent', 'b', '--outside']);
    release();
    await page.getByText('made in between').first().waitFor({ timeout: 6_000 });
    assert.equal(asked, 2);
});

scene('a restart is told as reconnecting, and the page comes back by itself with the truth', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/images');
    await page.evaluate(() => { window.sameDocument = true; });
    await fillForm(page, { prompt: 'drawn across a restart', steps: 150, count: 2 });
    await drawButton(page).click();
    await drawing(page, 150 * 2).first().waitFor();
    // The page must notice and try again: refused connections are what it sees.
    watch.expect(AWAY);
    await hub.down('SIGKILL');
    await page.getByText(/reconnecting|offline/i).first().waitFor();
    await hub.up();
    await live(page);
    await inGallery(page, 'drawn across a restart').locator('img').first().waitFor({ timeout: 40_000 });
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');
    assert.equal(await drawing(page, 150 * 2).count(), 0, 'nothing is said to be drawn any more');
    const shown = await inGallery(page, 'drawn across a restart').count();
    await page.reload();
    await live(page);
    assert.equal(await inGallery(page, 'drawn across a restart').count(), shown, 'the live page said what the hub says');
}, { timeout: 120_000 });

scene('a hub that stays away is told as offline since when, and the page comes back to life by itself', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/overview');
    await page.evaluate(() => { window.sameDocument = true; });
    const clock = () => page.evaluate(() => `${new Date()}`.match(/\d\d:\d\d/)[0]);
    watch.expect(AWAY);
    const before = await clock();
    await hub.down();
    const dot = page.locator('.dot');
    await dot.filter({ hasText: 'reconnecting' }).waitFor();
    const after = await clock();
    await dot.filter({ hasText: /^offline since \d\d:\d\d/ }).waitFor();
    const since = (await dot.innerText()).match(/\d\d:\d\d/)[0];
    assert.ok([before, after].includes(since), `lost at ${before} or ${after}, told as ${since}`);
    await hub.up();
    await live(page);
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');
});

scene('a session revoked from another browser leads to the sign-in page at the next action', async ({ hub, page, context, watch }) => {
    await setUp(page, hub);
    const other = await (await context()).newPage();
    await other.goto('/login');
    await signIn(other);
    await other.waitForURL('**/overview');
    await open(other, '/images');
    await open(page, '/settings');
    await page.getByRole('button', { name: 'End', exact: true }).click();
    watch.expect(/^answer 401/, /status of 401/);
    await until('the other browser is asked to sign in', async () => {
        if (other.url().includes('/login')) return true;
        const draw = drawButton(other);
        await fillForm(other, { prompt: 'too late', steps: 1 }).catch(() => {});
        await draw.click({ timeout: 500 }).catch(() => {});
        return other.url().includes('/login');
    });
    // The one who revoked is still in.
    await open(page, '/overview');
});

scene('a changed password ends the other sessions, and only the new one opens the door', async ({ hub, page, context, watch }) => {
    const next = 'a new one of four words';
    await setUp(page, hub);
    const other = await (await context()).newPage();
    await signIn(other);
    await other.waitForURL('**/overview');
    await live(other);
    await open(page, '/settings');
    const change = async (old, fresh) => {
        await page.getByLabel('Old password').fill(old);
        await page.getByLabel('New password').fill(fresh);
        await page.getByRole('button', { name: 'Change password' }).click();
    };
    // Whatever the other browser asks for once its session has ended is refused.
    watch.expect(/^answer 4\d\d: POST \/api\/change_password$/, /^answer 401/, /status of 4\d\d/);
    await change('not the password', next);
    await page.locator('#account [role=alert]').filter({ hasText: /password/i }).waitFor();
    await change(PASSWORD, next);
    await page.getByText('Password changed').waitFor();
    assert.equal(await page.getByLabel('New password').inputValue(), '', 'what was typed does not stay');
    // The other browser is led to the door by itself: its stream has ended with its session.
    await other.waitForURL('**/login?next=*');
    await signIn(other, 'ada', PASSWORD);
    await other.getByText(/wrong|not right|do(es)? not match/i).first().waitFor();
    await signIn(other, 'ada', next);
    await other.waitForURL('**/overview');
    // Who changed it is still in.
    await open(page, '/overview');
});
