// The raft group beside etcd: committed writes a second and their latency, taken turn by turn in one run; what mutual TLS
// and encryption cost; failover, hand-over and heartbeats; the simulator's steps. `--parts` picks some of it.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { makeVariant, WITHOUT_MUTUAL_TLS, WITHOUT_SEAL } from '../../support/variant.ts';
import { EtcdGroup, etcdVersion } from './etcd-group.ts';
import type { Group } from './group.ts';
import { load, median, type Result } from './load.ts';
import { ShoalGroup } from './shoal-group.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '1,16,128' },
    bytes: { type: 'string', default: '256,2048' },
    without: { type: 'string', default: '' },
  },
});

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const numbers = (text: string): number[] => text.split(',').map(Number);
const without = new Set(values.without.split(','));

async function compare(): Promise<void> {
  await using plainBuild = await makeVariant([...WITHOUT_MUTUAL_TLS, ...WITHOUT_SEAL]);
  await using sealedBuild = await makeVariant(WITHOUT_MUTUAL_TLS);
  const starts: (() => Promise<Group>)[] = [];
  const version = etcdVersion();
  if (version && !without.has('etcd')) starts.push(() => EtcdGroup.start());
  else write('etcd is not measured (Debian: etcd-server): Shoal alone.');
  starts.push(() => ShoalGroup.start({ name: 'Shoal, plain', root: plainBuild.root }));
  if (!without.has('costs')) {
    starts.push(() => ShoalGroup.start({ name: 'Shoal, sealed log', root: sealedBuild.root }));
    starts.push(() => ShoalGroup.start({ name: 'Shoal as it is (sealed log, mutual TLS)' }));
  }
  write(
    `etcd ${version ?? '–'}, Node ${process.versions.node}; closed loop on the leader, ${values.seconds} s a round`,
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
      const result = await load(group, { clients, bytes, forMs: 1_000 * Number(values.seconds), warmUpMs: 700 });
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

await compare();
write(
  `load average ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`,
);
