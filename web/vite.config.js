// Static files in dist/pages; no page loads anything from elsewhere.
import { resolve } from 'node:path';

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
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
};
