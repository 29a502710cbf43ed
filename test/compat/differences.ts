// Differences between Docker Engine 20.10 and Shoal that are meant, each with its reason. `npm run compat` fails for a
// difference that is not here, for one of these that does not occur any more, and for one that touches what clients rely
// on without being proven.
import { CLIENTS } from './differences/clients.ts';
import { CONTAINERS } from './differences/containers.ts';
import { EVERYWHERE } from './differences/everywhere.ts';
import { FILES } from './differences/files.ts';
import { IMAGES } from './differences/images.ts';
import type { Listed } from './differences/listed.ts';
import { NETWORKS } from './differences/networks.ts';
import { NONSENSE } from './differences/nonsense.ts';
import { STREAMS } from './differences/streams.ts';
import { SYSTEM } from './differences/system.ts';

export const LISTED: readonly Listed[] = [
  ...EVERYWHERE,
  ...SYSTEM,
  ...CONTAINERS,
  ...STREAMS,
  ...FILES,
  ...IMAGES,
  ...NETWORKS,
  ...NONSENSE,
  ...CLIENTS,
];
