// What a second start and a stop must know of the first: kept in the state directory while the cluster exists.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ClusterFile {
  readonly nodeCount: number;
  readonly subnet: number;
  readonly runDirectory: string;
}

const pathOf = (stateDirectory: string): string => join(stateDirectory, 'cluster.json');

export function readClusterFile(stateDirectory: string): ClusterFile | undefined {
  const path = pathOf(stateDirectory);
  if (!existsSync(path)) return undefined;
  const { nodeCount, subnet, runDirectory } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  if (typeof nodeCount !== 'number' || typeof subnet !== 'number' || typeof runDirectory !== 'string') {
    throw new Error(`${path} is not a cluster file; remove it if no cluster runs from ${stateDirectory}`);
  }
  return { nodeCount, subnet, runDirectory };
}

export function writeClusterFile(stateDirectory: string, file: ClusterFile): void {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o710 });
  writeFileSync(pathOf(stateDirectory), `${JSON.stringify(file)}\n`);
}
