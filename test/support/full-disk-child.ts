// A process whose store is on a disk that is full at first: `full-disk-child ROOT NAME`, in a mount namespace of its own
// with a small tmpfs on ROOT. Pulls, makes room, pulls again; prints what each came to.
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { systemClock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import { RegistryClient } from '../../runtime/registry/registries.ts';
import { DEFAULT_SETTINGS } from '../../runtime/registry/settings.ts';
import { fakeUnpack } from '../image/support.ts';

const LEFT_BYTES = 100_000;

const [root = '', name = ''] = process.argv.slice(2);
const common = { clock: systemClock, random: systemRandom };
const store = join(root, 'image');
const images = await ImageStore.open({
  ...common,
  root: store,
  unpack: fakeUnpack,
  log: silentLog,
  onEvent: () => undefined,
});
const platform = { os: 'linux', architecture: 'amd64', variant: '' };
const client = new RegistryClient({ ...common, door: images.door, settings: DEFAULT_SETTINGS, platform });

const filler = join(root, 'filler');
const { bavail, bsize } = statfsSync(root);
writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - LEFT_BYTES)));
await attempt();
rmSync(filler);
await attempt();

async function attempt(): Promise<void> {
  const outcome = await client.pull(name, { report: () => undefined }).then(
    () => ({ code: 'pulled', message: '' }),
    (error: unknown) => ({ code: codeOf(error), message: sentenceOf(error) }),
  );
  const left = ['incoming', 'layer', 'blobs/sha256'].map((folder) => readdirSync(join(store, folder)).length);
  process.stdout.write(`${JSON.stringify({ ...outcome, images: images.list().length, left })}\n`);
}
