// Stands in for `xterm` and its addons until a page needs them. The browser half imports these names statically (the crate
// xterm-js-rs does), so they come with the first page; the emulator itself, 90 kB, comes when `load` is first called.
// The document's import map leads `xterm`, `xterm-addon-*` here and `vendor/` to the files of @xterm (app/package.json).

export let Terminal;
export let Unicode11Addon;
export let WebLinksAddon;

let loading;

/** Brings the emulator and its style. The exported names are filled in before it resolves. */
export function load() {
    loading ??= bring().catch(error => {
        loading = undefined;
        throw error;
    });
    return loading;
}

async function bring() {
    const [xterm, unicode, links] = await Promise.all([
        import('vendor/xterm.mjs'),
        import('vendor/addon-unicode11.mjs'),
        import('vendor/addon-web-links.mjs'),
        style(import.meta.resolve('vendor/xterm.css')),
    ]);
    ({ Terminal } = xterm);
    ({ Unicode11Addon } = unicode);
    ({ WebLinksAddon } = links);
}

function style(href) {
    return new Promise((done, fail) => {
        const link = document.createElement('link');
        link.rel = 'stylesheet';
        link.href = href;
        link.onload = done;
        link.onerror = () => {
            link.remove();
            fail(new Error(`cannot load ${href}`));
        };
        document.head.append(link);
    });
}
