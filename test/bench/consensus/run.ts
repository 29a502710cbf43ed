// `npm run bench -- --consensus`: the raft group beside etcd, taken turn by turn in one run (committed writes a second, their
// latency, what mutual TLS and sealing cost); then leaders killed and handing over, heartbeats under load, the simulator.
//   --rounds 1 --seconds 2     fewer and shorter rounds      --clients 16 --bytes 256   some cells of the table only
//   --kills 20                 fewer killed leaders          --skip writes,kills,hand-over,heartbeats,simulator
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { makeVariant, WITHOUT_MUTUAL_TLS, WITHOUT_SEAL } from '../../support/variant.ts';
import { simulate } from '../../sim/simulate.ts';
import { handOvers, heartbeatGaps, leaderKills } from './availability.ts';
import { EtcdGroup, etcdVersion } from './etcd-group.ts';
import type { Group } from './group.ts';
import { load, median, quantile, type Result } from './load.ts';
import { ShoalGroup } from './shoal-group.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '1,16,128' },
    bytes: { type: 'string', default: '256,2048' },
    kills: { type: 'string', default: '100' },
    skip: { type: 'string', default: '' },
    consensus: { type: 'boolean', default: true },
  },
});

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const numbers = (text: string): number[] => text.split(',').map(Number);
const skipped = new Set(values.skip.split(','));
const version = etcdVersion();

/** New processes compile what they run often for seconds; a cluster that has been up for a while is what is compared. */
const WARM_UP_MS = 5_000;

async function compare(): Promise<void> {
  await using plainBuild = await makeVariant([...WITHOUT_MUTUAL_TLS, ...WITHOUT_SEAL]);
  await using sealedBuild = await makeVariant(WITHOUT_MUTUAL_TLS);
  const starts: (() => Promise<Group>)[] = [];
  if (version) starts.push(() => EtcdGroup.start());
  else write('etcd is not measured (Debian: etcd-server): Shoal alone.');
  starts.push(() => ShoalGroup.start({ name: 'Shoal, plain', root: plainBuild.root }));
  if (!skipped.has('costs')) {
    starts.push(() => ShoalGroup.start({ name: 'Shoal, sealed log', root: sealedBuild.root }));
    starts.push(() => ShoalGroup.start({ name: 'Shoal as it is (sealed log, mutual TLS)' }));
  }
  write(
    `etcd ${version ?? '–'}, Node ${process.versions.node}; closed loop on the leader, ${values.seconds} s a round after ${WARM_UP_MS / 1_000} s of the same`,
  );
  write('| clients | bytes | who | writes/s, median [min–max] | p50 ms | p99 ms | ratio to etcd, by round |');
  write('|---|---|---|---|---|---|---|');
  for (const bytes of numbers(values.bytes))
    for (const clients of numbers(values.clients)) await cell(starts, clients, bytes);
}

/** The groups take turns; each runs alone, so that an idle one costs the others nothing. */
async function cell(starts: readonly (() => Promise<Group>)[], clients: number, bytes: number): Promise<void> {
  const rows = new Map<string, Result[]>();
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const start of starts) {
      await using group = await start();
      const result = await load(group, { clients, bytes, forMs: 1_000 * Number(values.seconds), warmUpMs: WARM_UP_MS });
      rows.set(group.name, [...(rows.get(group.name) ?? []), result]);
    }
  }
  const etcd = rows.get('etcd');
  for (const [name, results] of rows) write(rowOf(clients, bytes, name, results, etcd));
}

function rowOf(clients: number, bytes: number, name: string, results: Result[], etcd: Result[] | undefined): string {
  const rates = results.map(({ perSecond }) => perSecond);
  const spread = `${median(rates).toFixed(0)} [${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)}]`;
  const p50 = median(results.map(({ p50Ms }) => p50Ms)).toFixed(1);
  const p99 = median(results.map(({ p99Ms }) => p99Ms)).toFixed(1);
  const ratios =
    etcd && name !== 'etcd' ? rates.map((rate, round) => rate / (etcd[round]?.perSecond ?? Number.NaN)) : [];
  const ratio = ratios.length > 0 ? median(ratios).toFixed(2) : '';
  return `| ${clients} | ${bytes} | ${name} | ${spread} | ${p50} | ${p99} | ${ratio} |`;
}

async function kills(): Promise<void> {
  {
    await using group = await ShoalGroup.start();
    const timesMs = await leaderKills(group, Number(values.kills));
    const over = timesMs.filter((ms) => ms > 3_000).length;
    write(`kill -9 of the leader → accepted write, ${values.kills} times: ${spreadOf(timesMs)}; ${over} over 3 s`);
  }
  if (!version) return;
  await using etcd = await EtcdGroup.start();
  write(`the same on etcd, ${ETCD_KILLS} times: ${spreadOf(await leaderKills(etcd, ETCD_KILLS))}`);
}

async function handOver(): Promise<void> {
  await using group = await ShoalGroup.start();
  write(
    `planned hand-over, longest gap between writes, ${HAND_OVERS} times: ${spreadOf(await handOvers(group, HAND_OVERS))}`,
  );
}

async function heartbeats(): Promise<void> {
  const { idleMs, busyMs, leaderStayed } = await heartbeatGaps(10_000, BUSY_SLICE_MS);
  const stayed = leaderStayed ? 'it still leads' : 'leadership was lost';
  write(
    `longest gap between heartbeats: ${idleMs.toFixed(0)} ms idle, ${busyMs.toFixed(0)} ms with the main thread busy; ${stayed}`,
  );
}

async function simulator(): Promise<void> {
  let steps = 0;
  const startMs = performance.now();
  for (let seed = 1; seed <= SIMULATOR_SEEDS; seed += 1) steps += (await simulate(seed, SIMULATOR_STEPS)).steps;
  const seconds = (performance.now() - startMs) / 1_000;
  write(`simulator: ${Math.round(steps / seconds)} steps/s with all invariants (${SIMULATOR_SEEDS} seeds)`);
}

const spreadOf = (ms: readonly number[]): string =>
  `median ${median(ms).toFixed(0)} ms, p99 ${quantile(ms, 0.99).toFixed(0)} ms, longest ${Math.max(...ms).toFixed(0)} ms`;

const ETCD_KILLS = 9;
const HAND_OVERS = 20;
const BUSY_SLICE_MS = 1_000;
const SIMULATOR_SEEDS = 10;
const SIMULATOR_STEPS = 20_000;

const parts = { writes: compare, kills, 'hand-over': handOver, heartbeats, simulator };
for (const [name, part] of Object.entries(parts)) if (!skipped.has(name)) await part();
write(
  `load average ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`,
);
