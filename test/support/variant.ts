// A copy of the compiled product with a few places changed: to measure what something costs by leaving it out, and to see
// that a planted fault is found. The product itself has no switch for either.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface Edit {
  readonly file: string; // below dist
  readonly find: string;
  readonly replace: string;
}

export interface Variant extends AsyncDisposable {
  readonly root: string; // as a checkout: holds dist
}

/** Every edit must fit exactly once, so that a change of the product can not make a variant the product. */
export async function makeVariant(edits: readonly Edit[]): Promise<Variant> {
  const root = await mkdtemp(join(tmpdir(), 'shoal-variant-'));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    // Without the daemon's bundle, so that it runs from the files that are changed.
    const filter = (path: string): boolean => !path.endsWith('.map') && path !== join(ROOT, 'dist/shoald');
    await cp(join(ROOT, 'dist'), join(root, 'dist'), { recursive: true, filter });
    await cp(join(ROOT, 'package.json'), join(root, 'package.json'));
    for (const name of ['node_modules', 'proto', 'runtime', 'deploy', 'docs', 'shoal.js']) {
      await symlink(join(ROOT, name), join(root, name));
    }
    for (const edit of edits) await apply(join(root, 'dist', edit.file), edit);
  } catch (error) {
    await remove();
    throw error;
  }
  return { root, [Symbol.asyncDispose]: remove };
}

async function apply(path: string, { file, find, replace }: Edit): Promise<void> {
  const text = await readFile(path, 'utf8');
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${find}`);
  await writeFile(path, parts.join(replace));
}

/** Managers that speak to each other in the clear. */
export const WITHOUT_MUTUAL_TLS: readonly Edit[] = [
  {
    file: 'manager/raft/dialled.js',
    find: "import { connect } from 'node:tls';",
    replace: "import { connect } from 'node:net';",
  },
  { file: 'manager/raft/dialled.js', find: "'secureConnect'", replace: "'connect'" },
  {
    file: 'manager/raft/peer-server.js',
    find: "import { createServer } from 'node:tls';",
    replace: "import { createServer } from 'node:net';",
  },
  {
    file: 'manager/raft/peer-server.js',
    find: 'managerOf(socket.getPeerCertificate(), clusterId)',
    replace: 'hello.from',
  },
];

/** Logs and snapshots that are not sealed; their place for the seal's tag stays. */
export const WITHOUT_SEAL: readonly Edit[] = [
  {
    file: 'manager/raft/seal.js',
    find: 'seal(number, context, plain) {',
    replace: 'seal(number, context, plain) { return Buffer.concat([plain, Buffer.alloc(TAG_BYTES)]);',
  },
  {
    file: 'manager/raft/seal.js',
    find: 'open(number, context, sealed) {',
    replace: 'open(number, context, sealed) { return Buffer.from(sealed.subarray(0, sealed.length - TAG_BYTES));',
  },
];
