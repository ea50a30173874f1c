// Makes the pictures of the landing page and the README from the real program: `node end2end/shots.mjs [overview] [wall]`.
// The overview: a hub with pictures asked for by four agents and two services (stand-ins: they answer and never draw), at
// 1440×900, scaled to 1200 wide, WebP of at most 70 kB. The wall: the first crew's terminals with what agents say at work
// (stand-ins too: `wall-shots.mjs`), at 1440×900, of at most 100 kB.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startComfyui } from './comfyui.mjs';
import { openBrowser, Program, ROOT, SCREENS, SIZES, until } from './program.mjs';
import { askAs, drawButton, drawing, fillForm, inGallery, onLine, open, setUp, takeKeyboard } from './screens.mjs';
import { atWork, standIns } from './wall-shots.mjs';

const OVERVIEW = { wide: 1200, high: 750, most: 70_000 };
const WALL = { wide: 1440, high: 900, most: 100_000 };
const wanted = process.argv.length > 2 ? process.argv.slice(2) : ['overview', 'wall'];
const ASKED = [
    ['a', 'Two joined nodes, a logo on paper'], ['b', 'Meadow in flat layers, morning'], ['c', 'Error page: an eclipse over the sea'],
    ['d', 'Onboarding sun, warm and round'], ['a', 'Diagram in cut paper'], ['b', 'Aurora for a loading state'],
    ['d', 'Glass dashboard, hero picture'], ['c', 'Harbour at dusk, grain'], ['d', 'Empty state: three paper planes'],
    ['b', 'Blueprint of a quiet machine'], ['a', 'Release banner, colours of autumn'], ['d', 'Invoice list with nothing in it'],
    ['a', 'Cover for the weekly report'], ['b', 'Map of the modules, as islands'], ['c', 'Error page: a lighthouse in fog'],
    ['d', 'Icon for an empty inbox'],
];

const browser = await openBrowser();
try {
    if (wanted.includes('overview')) await overview();
    if (wanted.includes('wall')) await wall();
} finally {
    await browser.close();
}

async function overview() {
    const hub = await Program.start();
    const comfyuis = await Promise.all([18, 45].map(ms => startComfyui(() => ms * (0.7 + 0.6 * Math.random()))));
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
            const webp = await toWebp(png, OVERVIEW);
            const file = join(ROOT, 'public', `shot-overview-${theme}.webp`);
            writeFileSync(file, webp);
            console.log(`${file}: ${webp.length} bytes`);
        }
    } finally {
        await hub.stop();
        await Promise.all(comfyuis.map(comfyui => comfyui.close()));
    }
}

async function wall() {
    const agents = standIns();
    const hub = await Program.start({ crew: true, env: { PATH: `${agents}:${process.env.PATH}` } });
    try {
        const context = await browser.newContext({ baseURL: hub.origin, viewport: SIZES.desktop, colorScheme: 'dark', reducedMotion: 'reduce' });
        const page = await context.newPage();
        await setUp(page, hub);
        await atWork(hub);
        // One is recorded, one is typed into, each by its own page.
        const other = await context.newPage();
        await open(other, '/terminals/agent-a');
        await onLine(other);
        await other.locator('details.menu > summary').click();
        await other.getByRole('button', { name: 'Record its output' }).click();
        await other.locator('.rec').waitFor();
        await open(other, '/terminals/build');
        await onLine(other);
        await takeKeyboard(other);
        await open(page, '/terminals');
        await page.getByText('Do you want to proceed?').first().waitFor();
        await until('somebody is needed', () => page.locator('.terminal-card').getByText('needs you').count(), 60_000);
        // What is written on and on has filled its tile.
        await page.waitForTimeout(4_000);
        const png = await page.screenshot({ path: join(SCREENS, 'shot-wall.png') });
        const webp = await toWebp(png, WALL);
        const file = join(ROOT, 'public', 'shot-wall-dark.webp');
        writeFileSync(file, webp);
        console.log(`${file}: ${webp.length} bytes`);
    } finally {
        await hub.stop();
        rmSync(agents, { recursive: true, force: true });
    }
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
async function toWebp(png, size) {
    const context = await browser.newContext();
    try {
        const page = await context.newPage();
        const url = await page.evaluate(async ({ data, wide, high, most }) => {
            const image = new Image();
            image.src = `data:image/png;base64,${data}`;
            await image.decode();
            const canvas = new OffscreenCanvas(wide, high);
            const pen = canvas.getContext('2d');
            pen.imageSmoothingQuality = 'high';
            pen.drawImage(image, 0, 0, wide, high);
            for (let quality = 0.92; quality > 0.3; quality -= 0.04) {
                const blob = await canvas.convertToBlob({ type: 'image/webp', quality });
                if (blob.size <= most) return [...new Uint8Array(await blob.arrayBuffer())];
            }
            return null;
        }, { data: png.toString('base64'), ...size });
        if (!url) throw new Error(`the picture is above ${size.most} bytes at every quality`);
        return Buffer.from(url);
    } finally {
        await context.close();
    }
}
