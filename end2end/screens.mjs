// The product's words in one place: how a person finds things on the screens.

import assert from 'node:assert/strict';
import { PASSWORD, until } from './program.mjs';

/** The dot in the corner says that the page is connected; before that no key and no button of it works. */
export async function live(page) {
    await page.getByRole('status').filter({ hasText: /^live/ }).waitFor();
}

/** Follows the one-time link and makes the owner's account. */
export async function setUp(page, hub, name = 'ada') {
    await page.goto(hub.setup);
    await page.getByLabel(/name/i).first().fill(name);
    for (const field of await page.getByLabel(/password/i).all()) await field.fill(PASSWORD);
    await page.locator('form').getByRole('button').last().click();
    await page.waitForURL('**/overview');
}

/** Signs in on the page that is open, or on /login. */
export async function signIn(page, name = 'ada', password = PASSWORD) {
    if (!page.url().includes('/login')) await page.goto('/login');
    await page.getByLabel(/name/i).first().fill(name);
    await page.getByLabel(/password/i).first().fill(password);
    await page.getByRole('button', { name: /sign in/i }).click();
}

/** Opens a screen and waits until it is connected. */
export async function open(page, path) {
    await page.goto(path);
    await live(page);
}

export const promptBox = page => page.getByRole('textbox', { name: /^prompt/i });

/** Fills the prompt form with what is given; what is not given stays. */
export async function fillForm(page, { prompt, steps, count, edge }) {
    if (prompt !== undefined) await promptBox(page).fill(prompt);
    if (edge !== undefined) {
        await page.getByText('Own size').click();
        await page.getByRole('spinbutton', { name: /^width/i }).fill(String(edge));
        await page.getByRole('spinbutton', { name: /^height/i }).fill(String(edge));
    }
    if (steps !== undefined) await page.getByRole('spinbutton', { name: /^steps/i }).fill(String(steps));
    if (count !== undefined) await page.getByRole('spinbutton', { name: /^count/i }).fill(String(count));
}

export const drawButton = page => page.getByRole('button', { name: /^draw/i });

/** What ended, by its prompt, in the gallery. */
export const inGallery = (page, prompt) => page.locator('.gallery').getByRole('link').filter({ hasText: prompt });

/** The words of an image that is being drawn; `steps` are those of all its pictures together. */
export const drawing = (page, steps) => page.getByText(new RegExp(`step\\s*\\d+\\s*of\\s*${steps}\\b`, 'i'));

/** Waits until a picture is there in pixels, not only as an element. */
export async function painted(image) {
    await image.waitFor();
    await until('the picture is loaded', async () => {
        try {
            await image.scrollIntoViewIfNeeded({ timeout: 1_000 });
            return await image.evaluate(element => element.complete && element.naturalWidth > 0);
        } catch {
            // A page that is just being changed for another one takes its pictures along.
            return false;
        }
    });
}

/** Asks for an image as a script with a token does. */
export async function askAs(hub, token, draft) {
    const answer = await fetch(`${hub.origin}/api/draw_image`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ draft }),
    });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
}

/** Starts a terminal by the dialog of the wall; ends on its page, once its line stands. */
export async function startTerminal(page, name, command = 'bash --norc --noprofile') {
    await open(page, '/terminals');
    await page.getByRole('button', { name: 'Start a terminal' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^name/i).fill(name);
    await dialog.getByLabel(/^command/i).fill(command);
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(`**/terminals/${name}`);
    await onLine(page);
}

/** The terminal of the open page is drawn, and who watches is known. */
export async function onLine(page) {
    await watching(page, /\d+ watching/);
}

/** Who watches the terminal of the open page, in its foot. */
export const watching = (page, words) => page.locator('.terminal > footer').getByText(words).first().waitFor();

/** What the terminal of the open page shows, as text. */
export const shown = page => page.locator('.xterm-rows').innerText();

/** Waits until the terminal shows a text. */
export const shows = (page, text, ms) => until(`the terminal shows ${text}`, async () => (await shown(page)).includes(text), ms);

/** Takes the keyboard, which is free. */
export async function takeKeyboard(page) {
    await page.getByRole('button', { name: 'Take keyboard' }).click();
    await page.getByText('you hold the keyboard').waitFor();
}

/** Types a line into the terminal, whose keyboard is held. */
export async function typeLine(page, line) {
    await page.keyboard.type(line);
    await page.keyboard.press('Enter');
}
