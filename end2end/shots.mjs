// Makes the pictures of the landing page from the real program: `node end2end/shots.mjs`.
// A hub with pictures asked for by four agents and two services (stand-ins: they answer and never draw), at 1440×900, scaled
// to 1200 wide, WebP of at most 70 kB.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startComfyui } from './comfyui.mjs';
import { openBrowser, Program, ROOT, SCREENS, SIZES, until } from './program.mjs';
import { askAs, drawButton, drawing, fillForm, inGallery, open, setUp } from './screens.mjs';

const MOST = 70_000;
const ASKED = [
    ['a', 'Two joined nodes, a logo on paper'], ['b', 'Meadow in flat layers, morning'], ['c', 'Error page: an eclipse over the sea'],
    ['d', 'Onboarding sun, warm and round'], ['a', 'Diagram in cut paper'], ['b', 'Aurora for a loading state'],
    ['d', 'Glass dashboard, hero picture'], ['c', 'Harbour at dusk, grain'], ['d', 'Empty state: three paper planes'],
    ['b', 'Blueprint of a quiet machine'], ['a', 'Release banner, colours of autumn'], ['d', 'Invoice list with nothing in it'],
    ['a', 'Cover for the weekly report'], ['b', 'Map of the modules, as islands'], ['c', 'Error page: a lighthouse in fog'],
    ['d', 'Icon for an empty inbox'],
];

const hub = await Program.start();
const comfyuis = await Promise.all([18, 45].map(ms => startComfyui(() => ms * (0.7 + 0.6 * Math.random()))));
const browser = await openBrowser();
try {
    const context = await browser.newContext({ baseURL: hub.origin, viewport: SIZES.desktop, colorScheme: 'dark', reducedMotion: 'reduce' });
    const page = await context.newPage();
    await setUp(page, hub);
    const tokens = Object.fromEntries(['a', 'b', 'c', 'd'].map(agent =>
        [agent, hub.command(['token', 'create', '--name', `agent ${agent}`, '--agent', agent, '--outside'])]));
    // One after the other, as agents at work do.
    await open(page, '/images');
    for (const [n, [agent, prompt]] of ASKED.entries()) {
        await askAs(hub, tokens[agent], { prompt, steps: 14, width: 512, height: 512, seed: String(7_712_004 + n * 977) });
        await inGallery(page, prompt).locator('img').first().waitFor({ timeout: 60_000 });
    }
    // One is being drawn while the camera clicks. The services come after it has begun: they would be asked first.
    await fillForm(page, { prompt: 'Empty state for an invoice list: three paper planes', steps: 150, count: 16 });
    await drawButton(page).click();
    await until('it is drawn', () => drawing(page, 150 * 16).count());
    for (const [n, [name, price]] of [['comfy-4090', '0.59'], ['comfy-attic', '0']].entries()) {
        await connect(page, name, comfyuis[n].url, price);
    }
    for (const theme of ['dark', 'light']) {
        await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
        await open(page, '/overview');
        await until('every picture is loaded', () => page.evaluate(() => [...document.images].every(image => image.complete)));
        await page.waitForTimeout(500);
        const png = await page.screenshot({ path: join(SCREENS, `shot-${theme}.png`) });
        const webp = await toWebp(png);
        const file = join(ROOT, 'public', `shot-overview-${theme}.webp`);
        writeFileSync(file, webp);
        console.log(`${file}: ${webp.length} bytes`);
    }
} finally {
    await browser.close();
    await hub.stop();
    await Promise.all(comfyuis.map(comfyui => comfyui.close()));
}

/** Adds a service, activates it, and lets the hub check its health a few times. */
async function connect(page, name, address, price) {
    await open(page, '/services');
    await page.getByRole('button', { name: 'Add a ComfyUI server' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^name/i).fill(name);
    await dialog.getByLabel(/^address/i).fill(address);
    await dialog.getByLabel(/^price/i).fill(price);
    await dialog.getByRole('button', { name: 'Save and activate' }).click();
    await dialog.waitFor({ state: 'hidden' });
    const card = page.getByRole('article', { name });
    for (let n = 0; n < 16; n += 1) {
        await card.getByRole('button', { name: 'Test now' }).click();
        await until('it has answered', () => card.getByRole('button', { name: 'Test now' }).isEnabled());
    }
}

/** Scaled by the browser itself, at the best quality that fits. */
async function toWebp(png) {
    const context = await browser.newContext();
    try {
        const page = await context.newPage();
        const url = await page.evaluate(async ({ data, most }) => {
            const image = new Image();
            image.src = `data:image/png;base64,${data}`;
            await image.decode();
            const canvas = new OffscreenCanvas(1200, 750);
            const pen = canvas.getContext('2d');
            pen.imageSmoothingQuality = 'high';
            pen.drawImage(image, 0, 0, 1200, 750);
            for (let quality = 0.92; quality > 0.3; quality -= 0.04) {
                const blob = await canvas.convertToBlob({ type: 'image/webp', quality });
                if (blob.size <= most) return [...new Uint8Array(await blob.arrayBuffer())];
            }
            return null;
        }, { data: png.toString('base64'), most: MOST });
        if (!url) throw new Error(`the picture is above ${MOST} bytes at every quality`);
        return Buffer.from(url);
    } finally {
        await context.close();
    }
}
