// The compiled daemon and its threads, bundled into dist/shoald: packages stay outside, code that is loaded late stays apart.
import { resolve } from 'node:path';

const dist = resolve(import.meta.dirname, '../dist');

export default {
  root: resolve(import.meta.dirname, '..'),
  publicDir: false,
  logLevel: 'warn',
  build: {
    ssr: true, // for Node
    target: 'node20',
    outDir: resolve(dist, 'shoald'),
    emptyOutDir: true,
    minify: false,
    rolldownOptions: {
      // Threads are found beside the code that starts them, by these names.
      input: {
        shoald: resolve(dist, 'daemon/shoald.js'),
        worker: resolve(dist, 'manager/raft/worker.js'),
        'name-worker': resolve(dist, 'runtime/network/name-worker.js'),
        'unpack-worker': resolve(dist, 'runtime/image/unpack-worker.js'),
      },
      output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    },
  },
};
