// One terminal for somebody with a link: read-only. Nothing is ever sent but a sign of life and
// whether the page is looked at.

import { load, Terminal, Unicode11Addon } from 'xterm';

const [OUTPUT, JSON_FRAME] = [0x30, 0x31];
const WORDS = {
    4001: 'This link has ended: its time is over, or its owner has taken it back.',
    4004: 'The session has ended. When it is started again, it comes back here by itself.',
    4008: 'Too many watch through this link. Reload the page to try again.',
    4009: 'The hub has another version than this page. Reload it.',
};
const ANSI = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
const NAMES = [...ANSI, ...ANSI.map(name => `bright${name[0].toUpperCase()}${name.slice(1)}`)];

const part = id => document.getElementById(id);
const screen = part('screen');
const glass = screen.parentElement;
let terminal;
let socket;
/** Which link this page is of: a browser may have opened several. */
let link;
let tries = 0;
let waits = false;
let away = null;
let fresh;

function say(state, word) {
    part('line').dataset.state = state;
    part('line').textContent = word;
}

/** Shows why nothing comes, and nothing of what was shown: neither on the screen, nor in this page. */
function clear(words) {
    say('bad', 'ended');
    part('words').textContent = words;
    part('words').hidden = false;
    away = null;
    tellAway();
    part('facts').textContent = '';
    terminal?.dispose();
    terminal = undefined;
    glass.hidden = true;
}

/** What was shared is shared no longer. */
function end(words) {
    clearInterval(fresh);
    clear(words);
}

class Refused extends Error {}

async function ask(path, body) {
    const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) });
    if (answer.ok) return answer.json();
    const said = await answer.json().catch(() => ({}));
    if (answer.status >= 500 || answer.status === 429) throw new Error(said.message);
    throw new Refused(answer.status === 401 || answer.status === 404 ? WORDS[4001] : said.message ?? WORDS[4001]);
}

function colors() {
    const probe = document.createElement('i');
    screen.append(probe);
    const color = name => {
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
    };
    const theme = {
        background: color('--glass'), foreground: color('--glass-text'), cursor: color('--glass-cursor'),
        cursorAccent: color('--glass'), selectionBackground: color('--glass-selection'),
    };
    NAMES.forEach((name, n) => { theme[name] = color(`--ansi-${n}`); });
    probe.remove();
    return theme;
}

/** Width and height of a letter of one pixel. The emulator knows a new size only once it has drawn. */
function em() {
    const probe = document.createElement('span');
    probe.style.cssText = 'position:absolute;visibility:hidden;white-space:pre;line-height:normal;font-size:100px';
    probe.textContent = 'W'.repeat(50);
    glass.append(probe);
    const size = [probe.offsetWidth / 5000, probe.offsetHeight / 100];
    probe.remove();
    return size;
}

// As on the pages of those who are signed in (`rules.rs`): what was chosen is kept as 'whole' or in eighths of a pixel; letters
// that nobody chose are as large as the whole grid lets them be, but on a phone never too small to be read.
const [SMALLEST, LARGEST, READABLE, NARROW] = [3, 28, 10, 640];
let chosen = recall();
// The picture pans down with the cursor until somebody pans it.
let follows = true;

function recall() {
    try {
        const kept = localStorage.getItem('letters') ?? '';
        return kept === 'whole' || (/^\d+$/.test(kept) && kept >= SMALLEST * 8 && kept <= LARGEST * 8) ? kept : '';
    } catch {
        return '';
    }
}

function choose(letters) {
    chosen = letters;
    try {
        if (letters) localStorage.setItem('letters', letters);
        else localStorage.removeItem('letters');
    } catch { /* Nothing is kept here; it holds for this visit. */ }
    fit();
}

/** The largest letters with which the whole grid is seen, or those that were chosen. */
function fit() {
    part('whole').setAttribute('aria-pressed', chosen === 'whole');
    if (!terminal) return;
    const [wide, high] = em();
    const [width, height] = [glass.clientWidth - 20, glass.clientHeight - 20];
    const dots = devicePixelRatio;
    let size = 18;
    while (size > SMALLEST && (terminal.cols * wide * size > width || terminal.rows * Math.ceil(high * size * dots) / dots > height)) size -= 0.125;
    if (!chosen && width < NARROW) size = Math.max(size, READABLE);
    terminal.options.fontSize = chosen && chosen !== 'whole' ? chosen / 8 : size;
    follow();
}

function zoom(by) {
    if (terminal) choose(String(Math.floor(Math.min(LARGEST, Math.max(SMALLEST, terminal.options.fontSize + by)) * 8)));
}

/** Pans down to the cursor where the grid is higher than its window. */
function follow() {
    if (!terminal || !follows) return;
    const high = em()[1] * terminal.options.fontSize;
    const line = terminal.buffer.active.cursorY;
    const [most, least] = [(line - 2) * high, (line + 3) * high + 20 - glass.clientHeight];
    glass.scrollTop = Math.max(0, least, Math.min(glass.scrollTop, most));
}

function draw({ cols, rows }) {
    terminal = new Terminal({
        cols, rows, scrollback: 0, disableStdin: true, allowProposedApi: true, minimumContrastRatio: 4.5, theme: colors(),
        fontFamily: getComputedStyle(glass).fontFamily, fontSize: 13,
    });
    terminal.loadAddon(new Unicode11Addon());
    terminal.unicode.activeVersion = '11';
    terminal.open(screen);
    screen.querySelector('textarea').disabled = true;
    terminal.onCursorMove(follow);
    fit();
}

function tell(request) {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const body = new TextEncoder().encode(JSON.stringify(request));
    const frame = new Uint8Array(body.length + 1);
    frame[0] = JSON_FRAME;
    frame.set(body, 1);
    socket.send(frame);
}

/** `12 s`, `3 min`, `2 h`, `5 d`. */
function span(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    return s < 86_400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** Says since when the machine is not connected, if it is not. */
function tellAway() {
    part('away').hidden = away === null;
    if (away === null) return;
    const lasts = Date.now() - away;
    part('away-since').textContent = lasts < 5_000 ? ', just now' : `, for ${span(lasts)} now`;
}

function take(frame) {
    const rest = frame.subarray(1);
    if (frame[0] === OUTPUT) return terminal?.write(rest);
    if (frame[0] !== JSON_FRAME) return undefined;
    const notice = JSON.parse(new TextDecoder().decode(rest));
    if (notice.type === 'alive') waits = false;
    if (notice.type !== 'state') return undefined;
    tries = 0;
    if (!terminal) {
        // It had ended, and was started again.
        part('words').hidden = true;
        glass.hidden = false;
        draw(notice);
        say('ok', 'live');
    }
    const on = notice.machine ? [`on ${notice.machine}`] : [];
    part('facts').textContent = [...on, `${notice.cols} × ${notice.rows}`, `${notice.viewers} watching`].join(' · ');
    part('machine').textContent = notice.machine ?? 'Its machine';
    away = notice.away ?? null;
    tellAway();
    if (terminal.cols !== notice.cols || terminal.rows !== notice.rows) {
        terminal.resize(notice.cols, notice.rows);
        fit();
    }
    return undefined;
}

function later() {
    say('wait', 'reconnecting');
    const most = Math.min(10_000, 200 * 2 ** Math.min(tries, 10));
    tries += 1;
    setTimeout(connect, most * (1 - Math.random() / 2));
}

/** The session has ended; the link is still good, and it is looked whether somebody starts it again. */
function gone() {
    if (terminal) clear(WORDS[4004]);
    else say('bad', 'ended');
    setTimeout(connect, 5_000 * (1 + Math.random()));
}

async function connect() {
    try {
        const { ticket } = await ask(`/s/ticket?link=${link}`);
        const mine = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/s/ws?link=${link}`, ['terminal', `ticket.${ticket}`]);
        socket = mine;
        mine.binaryType = 'arraybuffer';
        mine.onopen = () => { waits = false; if (terminal) say('ok', 'live'); tell({ type: 'visible', on: !document.hidden }); };
        mine.onmessage = event => { if (event.data instanceof ArrayBuffer) take(new Uint8Array(event.data)); };
        mine.onclose = event => {
            if (socket !== mine) return;
            if (event.code === 4004) gone();
            else if (WORDS[event.code]) end(WORDS[event.code]);
            else later();
        };
    } catch (error) {
        if (error instanceof Refused) end(error.message);
        else later();
    }
}

function alive() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (waits) {
        // Nothing came since the last time: the line is dead.
        const dead = socket;
        socket = undefined;
        dead.close();
        later();
        return;
    }
    waits = true;
    tell({ type: 'alive' });
}

async function begin() {
    const secret = location.hash.slice(1);
    if (!secret) return end('This address is not whole: the part after # is missing. Copy the link again.');
    try {
        const [shared] = await Promise.all([ask('/s/open', { secret }), load()]);
        link = shared.link;
        part('name').textContent = shared.terminal;
        document.title = `${shared.terminal} · shared terminal`;
        // Its own size comes with the first words on the socket.
        draw({ cols: 80, rows: 24 });
    } catch (error) {
        if (error instanceof Refused) return end(error.message);
        say('wait', 'reconnecting');
        setTimeout(begin, 2_000);
        return undefined;
    }
    new ResizeObserver(fit).observe(glass);
    matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => { if (terminal) terminal.options.theme = colors(); });
    document.addEventListener('visibilitychange', () => tell({ type: 'visible', on: !document.hidden }));
    setInterval(alive, 20_000);
    fresh = setInterval(tellAway, 5_000);
    return connect();
}

part('smaller').addEventListener('click', () => zoom(-1));
part('larger').addEventListener('click', () => zoom(1));
part('whole').addEventListener('click', () => choose(chosen === 'whole' ? '' : 'whole'));
for (const how of ['touchstart', 'wheel']) glass.addEventListener(how, () => { follows = false; }, { passive: true });

// Another link in the same tab is another terminal.
addEventListener('hashchange', () => location.reload());
begin();
