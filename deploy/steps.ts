// Steps with times, for a terminal and for a file.
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const { stdout } = process;
  const startMs = performance.now();
  const seconds = (): string => ((performance.now() - startMs) / 1000).toFixed(1);
  if (stdout.isTTY) stdout.write(`◌ ${name} …`);
  const start = stdout.isTTY ? '\r\x1b[K' : '';
  try {
    const result = await work();
    stdout.write(`${start}✔ ${name} (${seconds()} s)\n`);
    return result;
  } catch (error) {
    stdout.write(`${start}✖ ${name} (${seconds()} s)\n`);
    throw error;
  }
}
