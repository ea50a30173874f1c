// What one person does is seen by the other, and a restart or a lost session is told truthfully.

import assert from 'node:assert/strict';
import { scene, until } from './program.mjs';
import { drawButton, drawing, fillForm, inGallery, live, open, setUp, signIn } from './screens.mjs';

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
    hub.command(['token', 'create', '--name', 'made beside it', '--agent', 'b']);
    await other.getByText('made beside it').first().waitFor({ timeout: 4_000 });
});

scene('a restart is told as reconnecting, and the page comes back by itself with the truth', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/images');
    await page.evaluate(() => { window.sameDocument = true; });
    await fillForm(page, { prompt: 'drawn across a restart', steps: 150, count: 2 });
    await drawButton(page).click();
    await drawing(page, 150 * 2).first().waitFor();
    // The page must notice and try again: refused connections are what it sees.
    watch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK/);
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
