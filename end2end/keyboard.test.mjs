// Everything is reached without a mouse.

import assert from 'node:assert/strict';
import { scene, until } from './program.mjs';
import { live, open, promptBox, setUp } from './screens.mjs';

const dialog = page => page.getByRole('dialog');
const focusIn = (page, selector) => page.evaluate(css => document.activeElement?.matches(css) ?? false, selector);

scene('g and a letter goes to every screen', async ({ hub, page }) => {
    await setUp(page, hub);
    await live(page);
    await page.evaluate(() => { window.sameDocument = true; });
    for (const [key, path] of [['a', '/agents'], ['i', '/images'], ['x', '/terminals'], ['m', '/machines'], ['v', '/services'], [',', '/settings'], ['o', '/overview']]) {
        await page.keyboard.press('g');
        await page.keyboard.press(key);
        await page.waitForURL(`**${path}`);
        await page.getByRole('heading', { level: 1 }).first().waitFor();
    }
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without loading a page');
    // Letters typed into a field are letters.
    await open(page, '/images');
    await promptBox(page).fill('');
    await promptBox(page).pressSequentially('go / a big ?');
    assert.equal(await promptBox(page).inputValue(), 'go / a big ?');
    assert.ok(page.url().endsWith('/images'));
});

scene('slash focuses the search, question mark lists the keys, escape closes', async ({ hub, page }) => {
    await setUp(page, hub);
    await open(page, '/images');
    await page.keyboard.press('/');
    await until('the search has the focus', () => focusIn(page, 'input[type=search], [role=searchbox]'));
    await page.keyboard.press('Escape');
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press('?');
    await dialog(page).getByText(/palette|anything/i).first().waitFor();
    await page.keyboard.press('Escape');
    await until('the list is closed', async () => (await dialog(page).count()) === 0 || !(await dialog(page).first().isVisible()));
});

scene('the palette opens, filters, goes with enter, and gives the focus back', async ({ hub, page }) => {
    await setUp(page, hub);
    await live(page);
    await page.keyboard.press('Control+k');
    await dialog(page).waitFor();
    const box = dialog(page).getByRole('combobox').or(dialog(page).getByRole('textbox')).or(dialog(page).getByRole('searchbox')).first();
    await until('the palette has the focus', () => box.evaluate(element => element === document.activeElement));
    const all = await dialog(page).getByRole('option').count();
    assert.ok(all >= 4, `it offers every screen and more, here ${all}`);
    await page.keyboard.type('servi');
    await until('it filters', async () => (await dialog(page).getByRole('option').count()) < all);
    assert.equal(await dialog(page).getByRole('option', { selected: true }).count(), 1, 'one choice is marked');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/services');
    await until('it is closed', async () => (await dialog(page).count()) === 0 || !(await dialog(page).first().isVisible()));
    await page.keyboard.press('Control+k');
    await dialog(page).waitFor();
    await page.keyboard.type('nothing has this name');
    await until('it is empty', async () => (await dialog(page).getByRole('option').count()) === 0);
    await page.keyboard.press('Escape');
    await until('escape closes it', async () => (await dialog(page).count()) === 0 || !(await dialog(page).first().isVisible()));
});

for (const path of ['/overview', '/images', '/terminals', '/machines', '/services', '/connect', '/activity', '/settings']) {
    scene(`tab walks through ${path} and always shows where it is`, async ({ hub, page }) => {
        await setUp(page, hub);
        await open(page, path);
        await page.evaluate(() => { document.activeElement?.blur(); window.scrollTo(0, 0); });
        const seen = [];
        for (let n = 0; n < 80; n += 1) {
            await page.keyboard.press('Tab');
            const stop = await page.evaluate(() => {
                const element = document.activeElement;
                if (!element || element === document.body) return null;
                const box = element.getBoundingClientRect();
                const ring = node => {
                    const style = getComputedStyle(node);
                    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
                };
                // A field may hand its ring to the box around it.
                const visible = ring(element) || (element.closest(':focus-within') && [element.parentElement, element.nextElementSibling]
                    .some(node => node && ring(node)));
                const again = element.dataset.walked === '1';
                element.dataset.walked = '1';
                return {
                    what: `${element.tagName.toLowerCase()} "${(element.getAttribute('aria-label') ?? element.innerText ?? element.name ?? '').trim().slice(0, 40)}"`,
                    again, visible, inside: box.width > 0 && box.height > 0 && box.left >= -1 && box.right <= innerWidth + 1,
                };
            });
            if (!stop || stop.again) break;
            seen.push(stop);
        }
        assert.ok(seen.length >= 6, `the walk has stations: ${seen.map(stop => stop.what).join(', ')}`);
        assert.deepEqual(seen.filter(stop => !stop.visible).map(stop => stop.what), [], 'every station shows its focus');
        assert.deepEqual(seen.slice(1).filter(stop => !stop.inside).map(stop => stop.what), [], 'every station is on the screen');
    });
}
