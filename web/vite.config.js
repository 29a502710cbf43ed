// Static files in dist/pages; no page loads anything from elsewhere. The daemon is bundled in the same run.
import { resolve } from 'node:path';
import { build } from 'vite';

const here = import.meta.dirname;

export default {
  root: here,
  base: '/',
  build: {
    outDir: resolve(here, '../dist/pages'),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  plugins: [{ name: 'daemon', closeBundle: () => build({ configFile: resolve(here, '../daemon/vite.config.js') }) }],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
};
