// A process of its own that pulls into a store, for tests that kill it: `pull-child ROOT NAME`, a line for each progress.
import process from 'node:process';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import { RegistryClient } from '../../runtime/registry/registries.ts';
import { DEFAULT_SETTINGS } from '../../runtime/registry/settings.ts';
import { fakeUnpack } from '../image/support.ts';

const [root = '', name = ''] = process.argv.slice(2);
const common = { clock: systemClock, random: systemRandom };
const images = await ImageStore.open({ ...common, root, unpack: fakeUnpack, log: silentLog, onEvent: () => undefined });
await images.collectGarbage();
const platform = { os: 'linux', architecture: 'amd64', variant: '' };
const client = new RegistryClient({ ...common, door: images.door, settings: DEFAULT_SETTINGS, platform });
await client.pull(name, { report: (line) => process.stdout.write(`${JSON.stringify(line)}\n`) });
