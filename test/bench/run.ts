// `npm run bench`: each work on Docker Engine, where Debian's docker.io is installed, and on Shoal, alternately in one
// run, driven by the same client. Prints medians, spread and ratio. Installs nothing.
//   npm run bench -- --only 'run --rm'   works whose name has this text
//   npm run bench -- --rounds 3          fewer rounds
//   npm run bench -- --shoal-only        without Docker Engine
//   npm run bench -- --failover          the loss of leaders instead, many times over
//   npm run bench -- --networks          what networks cost instead, in namespaces of their own
//   npm run bench -- --store             the cluster's state at 50 000 tasks instead
//   npm run bench -- --deltas            what a network over 1 000 nodes costs the managers instead
//   npm run bench -- --consensus         consensus beside etcd instead: consensus/run.ts says with which words
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type BenchEngine, client, dockerAvailable, importBusybox, startDocker, startShoal } from './engines.ts';
import { deltasBench } from './deltas.ts';
import { failoverBench } from './failover.ts';
import { networksBench } from './networks.ts';
import type { Work } from './work.ts';
import { WORKS } from './works.ts';

interface Row {
  readonly work: Work;
  readonly docker: readonly number[];
  readonly shoal: readonly number[];
}

async function main(): Promise<void> {
  if (process.argv.includes('--consensus')) return void (await import('./consensus/run.ts'));
  if (process.argv.includes('--store')) return void (await import('./store.ts'));
  if (process.argv.includes('--deltas')) return await deltasBench();
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      rounds: { type: 'string' },
      'shoal-only': { type: 'boolean', default: false },
      failover: { type: 'boolean', default: false },
      networks: { type: 'boolean', default: false },
    },
  });
  if (process.getuid?.() !== 0) throw new Error('the bench runs containers, which needs root');
  if (values.networks) return await networksBench(values.only);
  if (values.failover) return await failoverBench(values.rounds ? Number(values.rounds) : undefined, values.only);
  const withDocker = dockerAvailable() && !values['shoal-only'];
  if (!withDocker)
    console.log('Docker Engine is not measured (docker.io is not installed, or --shoal-only): Shoal alone.');
  const works = WORKS.filter((work) => work.name.includes(values.only));
  const rows: Row[] = [];
  for (const nodes of [1, 3] as const) {
    const group = works.filter((work) => work.nodes === nodes);
    if (group.length > 0) rows.push(...(await measure(group, nodes, withDocker, values.rounds)));
  }
  print(rows);
}

async function measure(
  works: readonly Work[],
  nodes: 1 | 3,
  withDocker: boolean,
  rounds: string | undefined,
): Promise<Row[]> {
  await using shoal = await startShoal(nodes);
  await using docker = withDocker ? await startDocker(nodes) : undefined;
  const engines = [docker, shoal].filter((engine) => engine !== undefined);
  for (const engine of engines) {
    await importBusybox(engine);
    const versions = (
      await client(engine.sockets[0] as string, 'version', '--format', '{{.Client.Version}} {{.Server.Version}}')
    ).stdout;
    console.log(`${engine.name}: client and server ${versions}, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`);
  }
  const rows: Row[] = [];
  for (const work of works) rows.push(await measureOne(work, engines, Number(rounds ?? work.rounds)));
  return rows;
}

async function measureOne(work: Work, engines: readonly BenchEngine[], rounds: number): Promise<Row> {
  const results = { docker: [] as number[], shoal: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const engine of engines)
      if (engine.name === 'shoal' || !work.shoalOnly) results[engine.name].push(await work.run(engine));
  }
  const row = { work, ...results };
  console.log(line(row));
  return row;
}

function print(rows: readonly Row[]): void {
  console.log(
    `\nload average ${loadavg()
      .map((value) => value.toFixed(1))
      .join(' ')}, Node ${process.versions.node}\n`,
  );
  console.log('| work | Docker median [min–max] | Shoal median [min–max] | ratio | goal |\n|---|---|---|---|---|');
  for (const row of rows) console.log(line(row));
}

function line({ work, docker, shoal }: Row): string {
  const ratio = docker.length > 0 ? `${(median(docker) / median(shoal)).toFixed(1)} ×` : '';
  return `| ${work.name} | ${summary(docker, work.unit)} | ${summary(shoal, work.unit)} | ${ratio} | ${work.goal} |`;
}

function summary(values: readonly number[], unit: string): string {
  if (values.length === 0) return '–';
  const round = (value: number): string => (value < 100 ? value.toFixed(1) : value.toFixed(0));
  return `${round(median(values))} ${unit} [${round(Math.min(...values))}–${round(Math.max(...values))}]`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = 0, high = 0] =
    sorted.length % 2 === 0 ? [sorted[middle - 1], sorted[middle]] : [sorted[middle], sorted[middle]];
  return (low + high) / 2;
}

await main();
