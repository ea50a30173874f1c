// What people and agents type is text, wherever it is shown.

import assert from 'node:assert/strict';
import { scene, until } from './program.mjs';
import { drawButton, fillForm, inGallery, live, open, setUp, shows, signIn } from './screens.mjs';

const NASTY = '<img src=x onerror=alert(1)>"\'</script><script>alert(2)</script>';

scene('markup in prompts, names and labels is shown as text and runs nowhere', async ({ hub, page }) => {
    await setUp(page, hub);
    hub.command(['token', 'create', '--name', '<b>bold</b><script>alert(3)</script>', '--agent', 'a', '--outside']);
    await open(page, '/images');
    await fillForm(page, { prompt: NASTY, steps: 2 });
    await drawButton(page).click();
    await inGallery(page, '<img src=x').first().waitFor();
    // The page made by the browser, then the same made by the server.
    for (const path of ['/images', '/overview', '/settings']) {
        await open(page, path);
        const foreign = await page.locator('img[src="x"], main script, b:text-is("bold")').count();
        assert.equal(foreign, 0, `${path} holds no element that was typed`);
    }
    await open(page, '/images');
    await inGallery(page, '<img src=x').first().click();
    await page.waitForURL(/\/images\/.+/);
    await page.getByText('<script>alert(2)</script>').first().waitFor();
    await page.reload();
    await live(page);
    await page.getByText('<script>alert(2)</script>').first().waitFor();
    assert.equal(await page.locator('img[src="x"]').count(), 0);
});

scene('the title and the lines of a terminal are text, on its page and on the wall', async ({ hub, page }) => {
    await setUp(page, hub);
    const script = String.raw`printf '\033]0;<img src=x onerror=alert(4)>\007<img src=x onerror=alert(5)>\n'; exec cat`;
    hub.command(['terminal', 'start', 'nasty', '--', 'sh', '-c', script]);
    await open(page, '/terminals/nasty');
    await page.getByText('alert(4)').first().waitFor();
    await shows(page, 'alert(5)');
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    await open(page, '/terminals');
    await page.locator('.thumb').filter({ hasText: 'alert(5)' }).waitFor();
    await page.reload();
    await live(page);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
});

scene('a name in an address is shown as text, and a foreign address is not followed after sign-in', async ({ hub, page, watch }) => {
    hub.owner();
    // Our own addresses, even those that lead nowhere.
    watch.expect(/^answer 404: GET \/(%2f|images)\//, /status of 404/);
    for (const next of ['//evil.example/', 'https://evil.example/', '/\\evil.example', 'javascript:alert(1)', '/%2f/evil.example']) {
        // A page that is still open would ask on without its cookie, and be refused.
        await page.goto('about:blank');
        await page.context().clearCookies();
        await page.goto(`/login?next=${encodeURIComponent(next)}`);
        await signIn(page);
        await until('signed in', async () => !page.url().includes('/login'));
        assert.equal(new URL(page.url()).origin, hub.origin, `next=${next} stays here`);
    }
    await page.goto('/images/<script>alert(1)</script>');
    assert.equal(await page.locator('main script').count(), 0);
});
