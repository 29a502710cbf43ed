// What one work of the bench is, and what several of them begin with.
import { BUSYBOX_IMAGE, type BenchEngine, client } from './engines.ts';

export interface Work {
  readonly name: string;
  readonly unit: 'ms' | 'MB' | 'MB/s';
  readonly nodes: 1 | 3;
  readonly goal: string;
  /** What Docker Engine can not do, or only in a way that says nothing beside ours. */
  readonly shoalOnly?: true;
  /** Times it is done on each engine; long ones fewer. */
  readonly rounds: number;
  run(engine: BenchEngine): Promise<number>;
}

/** Ids of a hundred containers, and how long the clients took. */
export async function hundred(socket: string): Promise<{ ids: string[]; ms: number }> {
  const ids: string[] = [];
  let left = 100;
  const startMs = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) ids.push((await client(socket, 'run', '-d', BUSYBOX_IMAGE)).stdout);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return { ids, ms: performance.now() - startMs };
}
