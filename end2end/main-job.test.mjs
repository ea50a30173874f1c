// The main job: a person sets the hub up, types a prompt, watches it being drawn, and keeps the picture.

import assert from 'node:assert/strict';
import { scene, until } from './program.mjs';
import { askAs, drawButton, drawing, fillForm, inGallery, live, open, painted, promptBox, setUp, signIn } from './screens.mjs';

scene('from the set-up link to a picture, the same again, a cancelled one, and back in through the door', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await live(page);
    await page.keyboard.press('g');
    await page.keyboard.press('i');
    await page.waitForURL('**/images');
    await page.getByText(/not a model/i).first().waitFor();

    // A short one, by the button: it appears without a reload.
    await page.evaluate(() => { window.sameDocument = true; });
    await fillForm(page, { prompt: 'a harbour at dusk', steps: 4, edge: 256 });
    await drawButton(page).click();
    const harbour = inGallery(page, 'a harbour at dusk');
    await painted(harbour.locator('img').first());
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was not reloaded');

    // A longer one, by the keyboard: steps and previews are seen while it is drawn.
    await fillForm(page, { prompt: 'two joined nodes, logo', steps: 100, edge: 512 });
    await promptBox(page).press('Control+Enter');
    await drawing(page, 100).first().waitFor();
    const preview = page.locator('img[src*="/preview"]').first();
    await painted(preview);
    const first = await preview.getAttribute('src');
    await until('the preview changes', async () => (await preview.count()) === 0 || (await preview.getAttribute('src').catch(() => null)) !== first);
    const shown = await page.getByRole('progressbar').first().getAttribute('aria-valuenow').catch(() => null);
    assert.ok(shown !== null, 'the progress is told to a screen reader too');
    await painted(inGallery(page, 'two joined nodes, logo').locator('img').first());

    // Its detail, and the same again.
    await harbour.first().click();
    await page.waitForURL(/\/images\/[0-9a-f-]{36}/);
    const before = page.url();
    const seed = await seedOf(page);
    await painted(page.locator('main img[src^="/pictures/"]').first());
    const pixels = await page.locator('main img[src^="/pictures/"]').first().getAttribute('src');
    await page.getByRole('button', { name: /^again/i }).click();
    await until('another image is made', async () => /\/images\/[0-9a-f-]{36}/.test(page.url()) && page.url() !== before);
    await painted(page.locator('main img[src^="/pictures/"]').first());
    assert.equal(await seedOf(page), seed, 'the seed is the same');
    assert.equal(await page.locator('main img[src^="/pictures/"]').first().getAttribute('src'), pixels, 'and so are the pixels');

    // A long one, cancelled while it is drawn.
    await open(page, '/images');
    await fillForm(page, { prompt: 'a very long one', steps: 150, count: 8, edge: 256 });
    await drawButton(page).click();
    await drawing(page, 150 * 8).first().waitFor();
    await page.getByRole('button', { name: /^cancel/i }).first().click();
    await page.getByText(/\bcancelled\b/i).first().waitFor();
    await until('nothing is drawn any more', async () => (await drawing(page, 150 * 8).count()) === 0);

    // Out, and in again; a wrong password is told, and lets nobody in.
    await signOut(page);
    await page.waitForURL(url => ['/', '/login'].includes(url.pathname));
    await page.goto('/overview');
    assert.ok(page.url().includes('/login'), 'signed out');
    watch.expect(/^answer 401: POST \/login$/, /status of 401/);
    await signIn(page, 'ada', 'not the password');
    await page.getByText(/wrong|not right|do(es)? not match/i).first().waitFor();
    assert.ok(page.url().includes('/login'));
    await signIn(page);
    await page.waitForURL('**/overview');
});

scene('who opens a picture and comes back finds the gallery as it was', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    const tokens = Object.fromEntries(['a', 'b'].map(agent => [agent, hub.command(['token', 'create', '--name', agent, '--agent', agent, '--outside'])]));
    const ask = (agent, prompt) => askAs(hub, tokens[agent], { prompt, steps: 1, width: 64, height: 64 });
    for (let n = 1; n <= 64; n += 1) await ask('a', `tile ${n} of many`);
    await ask('b', 'somebody else');
    await open(page, '/images');
    await inGallery(page, 'somebody else').locator('img').first().waitFor({ timeout: 60_000 });
    const tiles = page.locator('.gallery > a');
    const chip = page.locator('#gallery').getByRole('button', { name: 'agent:a' });
    const chosen = async (words, ask) => until(words, async () => (await chip.getAttribute('aria-pressed')) === 'true' && ask());
    await page.getByRole('searchbox').fill('of many');
    await until('the search has found', async () => (await tiles.count()) === 60 && (await inGallery(page, 'somebody else').count()) === 0);
    await chip.click();
    await page.getByRole('button', { name: 'Show more' }).click();
    await until('all are shown', async () => (await tiles.count()) === 64);
    // By the page's own link, by the key, and by the browser's way back.
    const ways = [
        () => page.getByRole('link', { name: 'All images' }).click(),
        () => page.keyboard.press('Escape'),
        () => page.goBack(),
    ];
    for (const back of ways) {
        await inGallery(page, 'tile 2 of many').scrollIntoViewIfNeeded();
        const before = await page.evaluate(() => window.scrollY);
        assert.ok(before > 500, `far down the page, here ${before}`);
        await inGallery(page, 'tile 2 of many').click();
        await page.waitForURL(/\/images\/[0-9a-f-]{36}/);
        await page.getByText('64 × 64 pixels').waitFor();
        await back();
        await chosen('all are there again', async () => (await tiles.count()) === 64);
        assert.equal(await page.getByRole('searchbox').inputValue(), 'of many');
        await until('the same place', async () => Math.abs(await page.evaluate(() => window.scrollY) - before) < 3);
    }
    // What was deleted meanwhile is not shown. The news of it comes before the answer, so its page asks for it once more.
    watch.expect(/^answer 404: POST \/api\/get_image$/, /status of 404/);
    await page.route('**/api/delete_image', async route => {
        const response = await route.fetch();
        await page.getByText('There is no such image').waitFor();
        await route.fulfill({ response });
    });
    await inGallery(page, 'tile 2 of many').click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: /^Delete picture/ }).click();
    await page.waitForURL('**/images');
    await chosen('all but one', async () => (await tiles.count()) === 63);
    // A page that is loaded anew begins with everything.
    await open(page, '/images');
    await until('everything', async () => (await inGallery(page, 'somebody else').count()) === 1);
    assert.equal(await chip.getAttribute('aria-pressed'), 'false');
});

scene('the set-up link works once', async ({ hub, page, context, watch }) => {
    await setUp(page, hub);
    const stranger = await (await context()).newPage();
    watch.expect(/^answer 4\d\d: GET \/setup$/, /status of 4\d\d/);
    await stranger.goto(hub.setup);
    assert.equal(await stranger.getByLabel(/password/i).count() > 0 && stranger.url().includes('/setup'), false, 'no second account');
});

async function seedOf(page) {
    return until('the detail names the seed', async () => (await page.locator('main').innerText()).match(/seed\s*(\d+)/i)?.[1]);
}

async function signOut(page) {
    await page.getByRole('button', { name: /sign out/i }).first().click();
}
