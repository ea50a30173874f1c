// Every screen, at two sizes in two themes: accessible, without sideways scroll, without a complaint; a picture of each is kept.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startComfyui } from './comfyui.mjs';
import { axe, PASSWORD, scene, SCREENS, SIZES } from './program.mjs';
import { drawButton, drawing, fillForm, inGallery, live, onLine, open, setUp, shows, signIn, startTerminal, takeKeyboard, typeLine } from './screens.mjs';

const THEMES = ['dark', 'light'];

/** Looks at the open page in all sizes and themes; returns what is wrong. */
async function look(page, name) {
    const wrong = [];
    for (const [size, viewport] of Object.entries(SIZES)) {
        await page.setViewportSize(viewport);
        for (const theme of THEMES) {
            await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
            await page.waitForTimeout(200);
            const where = `${name}-${theme}-${size}`;
            await page.screenshot({ path: join(SCREENS, `${where}.png`) });
            const scroll = await page.evaluate(() => {
                const root = document.documentElement;
                const wide = root.scrollWidth > root.clientWidth;
                const who = wide && [...document.querySelectorAll('body *')].find(node => node.getBoundingClientRect().right > root.clientWidth + 1);
                return wide ? `${root.scrollWidth} px wide, by ${who ? `${who.tagName.toLowerCase()}.${who.className}` : 'something'}` : null;
            });
            if (scroll) wrong.push(`${where}: scrolls sideways, ${scroll}`);
            for (const found of await axe(page)) wrong.push(`${where}: ${found}`);
        }
    }
    await page.setViewportSize(SIZES.desktop);
    await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
    return wrong;
}

/** Fails with each fault once, and where it was seen. */
function clean(wrong) {
    const seen = new Map();
    for (const line of wrong) {
        const [where, ...what] = line.split(': ');
        seen.set(what.join(': '), [...(seen.get(what.join(': ')) ?? []), where]);
    }
    const lines = [...seen].map(([what, where]) => `${what}\n    at ${where.join(', ')}`);
    assert.ok(lines.length === 0, `not every view is accessible and fits:\n${lines.join('\n')}`);
}

scene('the pages for strangers are accessible and fit', async ({ hub, page }) => {
    const wrong = [];
    await page.goto('/');
    wrong.push(...await look(page, 'landing'));
    await page.goto(hub.setup);
    wrong.push(...await look(page, 'setup'));
    hub.owner();
    await page.goto('/login');
    wrong.push(...await look(page, 'login'));
    clean(wrong);
});

scene('the empty screens are accessible, fit, and teach', async ({ hub, page }) => {
    await setUp(page, hub);
    const wrong = [];
    for (const name of ['overview', 'agents', 'images', 'terminals', 'services', 'connect', 'activity', 'settings']) {
        await open(page, `/${name}`);
        wrong.push(...await look(page, `${name}-empty`));
    }
    clean(wrong);
});

scene('the filled screens are accessible and fit', async ({ hub, page, context, watch }) => {
    const comfyui = await startComfyui();
    try {
        await setUp(page, hub);
        hub.command(['token', 'create', '--name', 'claude on the build machine', '--agent', 'a', '--outside', '--expires', '90d']);
        await (await context()).newPage().then(async other => { await other.goto('/login'); await signIn(other); await other.waitForURL('**/overview'); });
        await open(page, '/images');
        const prompts = ['Harbour at dusk, grain', 'Two joined nodes, a logo on paper', 'Meadow in flat layers', 'Error page: an eclipse over a very wide horizon, no text, no people'];
        for (const prompt of prompts) {
            await fillForm(page, { prompt, steps: 20 });
            await drawButton(page).click();
            await inGallery(page, prompt).locator('img').first().waitFor();
        }
        const wrong = [];
        await open(page, '/images');
        wrong.push(...await look(page, 'images'));
        await inGallery(page, prompts[0]).first().click();
        await page.waitForURL(/\/images\/[0-9a-f-]{36}/);
        wrong.push(...await look(page, 'image'));
        await open(page, '/images');
        await fillForm(page, { prompt: 'Aurora loading state', steps: 150, count: 16 });
        await drawButton(page).click();
        await fillForm(page, { prompt: 'Onboarding sun', steps: 20, count: 1 });
        await drawButton(page).click();
        await drawing(page, 150 * 16).first().waitFor();
        wrong.push(...await look(page, 'images-drawing'));
        await open(page, '/overview');
        wrong.push(...await look(page, 'overview'));
        await page.locator('.now').getByRole('link', { name: 'All', exact: true }).click();
        await page.waitForURL('**/activity');
        await page.getByText('Aurora loading state').first().waitFor();
        wrong.push(...await look(page, 'activity'));
        await open(page, '/images');
        await page.getByRole('button', { name: /^cancel/i }).first().click();
        await inGallery(page, 'Aurora loading state').getByText('cancelled').first().waitFor();

        await open(page, '/services');
        await page.getByRole('button', { name: /add/i }).first().click();
        await page.getByRole('dialog').waitFor();
        wrong.push(...await look(page, 'services-dialog'));
        const dialog = page.getByRole('dialog');
        await dialog.getByLabel(/^name/i).fill('comfy-4090');
        await dialog.getByLabel(/^address/i).fill(comfyui.url);
        await dialog.getByLabel(/^price/i).fill('0.59');
        await dialog.getByRole('button', { name: 'Test' }).click();
        await dialog.getByText(/0\.3\.75/).first().waitFor();
        wrong.push(...await look(page, 'services-tested'));
        await dialog.getByRole('button', { name: 'Save and activate' }).click();
        await dialog.waitFor({ state: 'hidden' });
        await page.getByText('comfy-4090').first().waitFor();
        await page.getByText(/healthy/i).first().waitFor();
        wrong.push(...await look(page, 'services'));
        // The stand-in takes no work, so what is asked now fails, and somebody has to know.
        await open(page, '/images');
        await fillForm(page, { prompt: 'Asked of a service that refuses', steps: 20, count: 1 });
        await drawButton(page).click();
        await inGallery(page, 'Asked of a service').getByText('failed').waitFor();
        await open(page, '/overview');
        await page.getByRole('region', { name: 'Needs you' }).getByRole('link', { name: 'Asked of a service' }).waitFor();
        wrong.push(...await look(page, 'overview-needs'));

        await open(page, '/connect');
        await page.getByRole('button', { name: 'Create token' }).click();
        await page.getByText('Waiting for the first call').waitFor();
        wrong.push(...await look(page, 'connect-waiting'));
        const secret = await page.getByRole('region', { name: 'Make a token' }).locator('code').first().innerText();
        await fetch(`${hub.origin}/mcp`, {
            method: 'POST',
            headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {
                protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'claude-code', version: '2.1.330' },
            } }),
        });
        await page.getByText('claude-code 2.1.330').waitFor();
        wrong.push(...await look(page, 'connect'));

        await open(page, '/settings');
        wrong.push(...await look(page, 'settings'));
        await page.keyboard.press('?');
        await page.getByRole('dialog').waitFor();
        wrong.push(...await look(page, 'keys'));
        await page.keyboard.press('Escape');
        await page.keyboard.press('Control+k');
        await page.getByRole('dialog').waitFor();
        wrong.push(...await look(page, 'palette'));
        clean(wrong);
    } finally {
        await comfyui.close();
    }
}, { timeout: 400_000 });

// What an agent's program may look like, in 16, 256 and all colours.
const SCREEN = String.raw`clear; printf '\033[34mcentral-mcp\033[0m on \033[35magent-c/limits\033[0m \033[2mis clean\033[0m\n\033[32m❯\033[0m cargo nextest run limits\n\033[2m    Finished\033[0m test profile in 2.31s\n'; for t in burst_is_refilled_by_time window_forgets_after_a_minute one_key_never_starves_another; do printf '    \033[32mPASS\033[0m [ 0.02s] server \033[38;5;75mlimits::%s\033[0m\n' $t; done; printf '    \033[33mSKIP\033[0m [      ] server limits::per_key_limit\n\033[38;2;255;120;90mThe limit itself is still an open question.\033[0m\n\033[30;47m 1 \033[0m \033[97;44m yes \033[0m \033[91mno\033[0m\n'`;

scene('the terminals are accessible and fit', async ({ hub, page, context }) => {
    await setUp(page, hub);
    const wrong = [];
    for (const name of ['build', 'deploy']) {
        await startTerminal(page, name);
        await takeKeyboard(page);
        await typeLine(page, SCREEN);
        await shows(page, 'per_key_limit');
        await page.keyboard.press('Control+Shift+Enter');
    }
    await startTerminal(page, 'review');
    wrong.push(...await look(page, 'terminal-looking'));
    await takeKeyboard(page);
    await typeLine(page, SCREEN);
    await shows(page, 'per_key_limit');
    await page.locator('details.menu > summary').click();
    await page.getByRole('button', { name: 'Record its output' }).click();
    await page.locator('.rec').waitFor();
    await page.waitForTimeout(2_500);
    wrong.push(...await look(page, 'terminal'));
    await page.locator('details.menu > summary').click();
    wrong.push(...await look(page, 'terminal-menu'));
    await page.getByRole('button', { name: 'Recordings' }).click();
    await page.getByRole('dialog').filter({ visible: true }).locator('a.play').waitFor();
    wrong.push(...await look(page, 'terminal-recordings'));
    const recording = await page.locator('a.play').getAttribute('href');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Share' }).click();
    await page.getByRole('button', { name: 'Make a link' }).click();
    const link = await page.locator('.secret code').innerText();
    wrong.push(...await look(page, 'terminal-share'));
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'history' }).click();
    await page.getByRole('searchbox', { name: 'Find in these lines' }).fill('limits');
    await page.locator('.hits mark').first().waitFor();
    wrong.push(...await look(page, 'terminal-history'));
    const guest = await (await context()).newPage();
    await guest.goto(link);
    await shows(guest, 'per_key_limit');
    wrong.push(...await look(guest, 'share'));
    await guest.close();
    await open(page, recording);
    await page.getByRole('button', { name: 'Play' }).click();
    await shows(page, 'per_key_limit');
    wrong.push(...await look(page, 'recording'));
    await open(page, '/terminals');
    await page.locator('.thumb').filter({ hasText: 'per_key_limit' }).first().waitFor();
    wrong.push(...await look(page, 'terminals'));
    await page.getByRole('button', { name: 'Start a terminal' }).click();
    wrong.push(...await look(page, 'terminals-start'));
    clean(wrong);
}, { timeout: 300_000 });

scene('landing, set-up and sign-in transfer no script and stay small', async ({ hub, page }) => {
    for (const path of ['/', hub.setup, '/login']) {
        if (path === '/login') hub.owner();
        const got = [];
        const listen = response => got.push(response);
        page.on('response', listen);
        await page.goto(path, { waitUntil: 'networkidle' });
        page.off('response', listen);
        const sizes = await Promise.all(got.map(async response => {
            const { responseBodySize } = await response.request().sizes();
            return { url: new URL(response.url()).pathname, type: response.headers()['content-type'] ?? '', resource: response.request().resourceType(), size: responseBodySize };
        }));
        const scripts = sizes.filter(one => /javascript|wasm/.test(one.type) || ['script', 'fetch', 'xhr', 'eventsource'].includes(one.resource));
        assert.deepEqual(scripts, [], `${path} loads no script`);
        assert.equal(await page.locator('script').count(), 0, `${path} holds no script`);
        const pictures = sizes.filter(one => /image\/(webp|png|jpeg|avif)/.test(one.type) && !/icon/.test(one.url));
        const sum = list => list.reduce((all, one) => all + one.size, 0);
        const rest = sizes.filter(one => !pictures.includes(one));
        assert.ok(sum(rest) <= 30_000, `${path}: HTML, CSS and icons are ${sum(rest)} bytes of 30,000: ${JSON.stringify(rest)}`);
        assert.ok(sum(pictures) <= 150_000, `${path}: pictures are ${sum(pictures)} bytes of 150,000`);
    }
});

scene('landing, set-up and sign-in work in a browser without script', async ({ hub, page, watch }) => {
    // The signed-in pages name their script; this browser does not take it.
    watch.expect(/^request failed: GET \/pkg\/\S+\.js csp$/);
    await page.goto('/');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await setUp(page, hub);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.context().clearCookies();
    await page.goto('/images');
    assert.ok(page.url().includes('/login'), 'a stranger is led to the sign-in page');
    await signIn(page, 'ada', PASSWORD);
    await page.waitForURL('**/images');
}, { context: { javaScriptEnabled: false } });

scene('the bars of the browser have the colour of the theme', async ({ hub, page }) => {
    const colors = () => page.locator('meta[name=theme-color]').evaluateAll(all => all.map(one => one.content));
    const [light, dark] = ['#f8f9fb', '#0a0c10'];
    await setUp(page, hub);
    await live(page);
    assert.deepEqual(await colors(), [light, dark], 'as the system says');
    const turn = page.getByRole('button', { name: 'Change theme' });
    await turn.click();
    assert.deepEqual(await colors(), [dark, dark]);
    await turn.click();
    assert.deepEqual(await colors(), [light, light]);
    await open(page, '/overview');
    assert.deepEqual(await colors(), [light, light], 'and so the server says');
});

scene('an address that does not exist says so with status 404', async ({ hub, page, watch }) => {
    watch.expect(/^answer 404: (GET \/(no-such-page|images\/)|POST \/api\/get_image$)/, /status of 404/);
    await setUp(page, hub);
    for (const path of ['/no-such-page', '/images/0190b0e0-0000-7000-8000-000000000000']) {
        const answer = await page.goto(path);
        assert.equal(answer.status(), 404, path);
        await page.getByText(/not (here|found|exist)|no such|nothing here|does not exist/i).first().waitFor();
        await page.getByRole('link', { name: /overview/i }).first().waitFor();
    }
    const wrong = await look(page, 'not-found');
    clean(wrong);
    await live(page);
});

scene('a stranger sees sign-in instead of every screen, and no data', async ({ hub, page }) => {
    hub.owner();
    for (const path of ['/overview', '/agents', '/images', '/terminals', '/terminals/system', '/machines', '/services', '/connect', '/activity', '/settings']) {
        await page.goto(path);
        const url = new URL(page.url());
        assert.equal(url.pathname, '/login', path);
        assert.equal(url.searchParams.get('next'), path);
    }
});
