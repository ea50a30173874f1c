// The audit log as people read it: who did what, by topic, by thing, by words, page by page.

import assert from 'node:assert/strict';
import { scene, until } from './program.mjs';
import { onLine, open, setUp, signIn, takeKeyboard, typeLine } from './screens.mjs';

const lines = page => page.locator('.activity .events li');
const line = (page, text) => lines(page).filter({ hasText: text });
const chip = (page, name) => page.getByRole('navigation', { name: 'What is shown' }).getByRole('link', { name, exact: true });

scene('who looked and who typed how much is told of a terminal, and is found by words', async ({ hub, page }) => {
    await setUp(page, hub);
    for (const name of ['a', 'ab']) hub.command(['terminal', 'start', name, '--', 'cat']);
    await open(page, '/terminals/a');
    await onLine(page);
    await takeKeyboard(page);
    await typeLine(page, 'four');
    await page.getByRole('button', { name: 'Hand back' }).click();
    await page.getByRole('button', { name: 'Take keyboard' }).waitFor();
    await page.locator('details.menu > summary').click();
    await page.getByRole('link', { name: 'Activity', exact: true }).click();
    await page.waitForURL('**/activity?topic=terminals&of=a');
    await line(page, /^A?\s*ada looks at a from 127\.0\.0\.1/).waitFor();
    await line(page, /ada took the keyboard of a/).waitFor();
    await line(page, /ada typed 5 bytes from 127\.0\.0\.1/).waitFor();
    assert.equal(await line(page, /\bab\b/).count(), 0, 'of this terminal alone');
    // What happens while one reads is there at once.
    hub.command(['terminal', 'stop', 'a']);
    await line(page, 'stopped the terminal').waitFor();
    await chip(page, 'Terminals').click();
    await page.waitForURL('**/activity?topic=terminals');
    await line(page, /\bab\b/).first().waitFor();
    const search = page.getByRole('searchbox', { name: 'Search what happened' });
    await search.fill('typed');
    await page.waitForURL('**/activity?topic=terminals&q=typed');
    await until('only what is sought', async () => (await lines(page).count()) === 1);
    await search.fill('took the ');
    await page.waitForURL('**/activity?topic=terminals&q=took%20the%20');
    await line(page, 'took the keyboard').waitFor();
    await search.pressSequentially('keyboard');
    await until('what is typed stays', async () => (await search.inputValue()) === 'took the keyboard' && page.url().endsWith('keyboard'));
    await search.fill('no such words');
    await page.getByText('Nothing like this has happened.').waitFor();
    await page.getByRole('link', { name: 'Show everything' }).click();
    await page.waitForURL('**/activity');
    await line(page, 'set up this hub').waitFor();
    assert.equal(await search.inputValue(), '');
    await page.goBack();
    await page.getByText('Nothing like this has happened.').waitFor();
});

scene('the past is read page by page, also without script, and a viewer is told of no account', async ({ hub, page, context, watch }) => {
    // The signed-in pages name their script; this browser does not take it.
    watch.expect(/^request failed: GET \/pkg\/\S+\.js csp$/, /^answer 403: GET \/activity$/, /status of 403/);
    await setUp(page, hub);
    const token = hub.command(['token', 'create', '--name', 'script', '--role', 'operator']);
    hub.command(['terminal', 'start', 'kept', '--', 'cat']);
    for (let n = 0; n < 110; n += 1) {
        const answer = await fetch(`${hub.origin}/api/save_workflow`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body: JSON.stringify({ name: `workflow ${n}`, graph: '{"1":{"class_type":"SaveImage","inputs":{}}}' }),
        });
        assert.equal(answer.status, 200, await answer.text());
    }
    await open(page, '/activity');
    await until('a page', async () => (await lines(page).count()) === 100);
    await page.getByRole('link', { name: 'Older' }).click();
    await page.waitForURL(/\/activity\?before=\d+$/);
    await line(page, 'set up this hub').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Older' }).count(), 0);
    await page.getByRole('link', { name: 'Newest' }).click();
    await until('the newest again', async () => (await lines(page).count()) === 100);

    hub.command(['user', 'create', '--name', 'eve', '--role', 'viewer', '--password-stdin'], 'correct horse battery\n');
    const plain = await (await context({ javaScriptEnabled: false })).newPage();
    await plain.goto('/login');
    await signIn(plain, 'eve');
    await plain.goto('/activity');
    assert.equal(await lines(plain).count(), 100);
    await plain.getByRole('link', { name: 'Older' }).click();
    await line(plain, 'started the terminal').waitFor();
    assert.equal(await line(plain, /set up this hub|signed in/).count(), 0);
    assert.equal(await chip(plain, 'Accounts').count(), 0);
    await plain.getByRole('searchbox').fill('started');
    await plain.keyboard.press('Enter');
    await plain.waitForURL('**/activity?q=started');
    assert.equal(await plain.getByRole('searchbox').inputValue(), 'started');
    assert.equal(await lines(plain).count(), 1);
    await plain.goto('/activity?topic=auth');
    await plain.getByText(/this needs the role operator/i).waitFor();
});
