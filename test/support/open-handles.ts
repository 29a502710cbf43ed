// What keeps this process alive, in lines a person can search for.
import process from 'node:process';

interface Handle {
  readonly type: string;
  readonly is_active: boolean;
  readonly is_referenced: boolean;
  readonly [detail: string]: unknown;
}

/** One line for each handle of libuv that is active and counts, with its pid, path or addresses. Shape: https://nodejs.org/docs/latest-v20.x/api/report.html */
export function describeOpenHandles(): string {
  const { libuv } = process.report.getReport() as unknown as { libuv: readonly Handle[] };
  const open = libuv.filter((handle) => handle.is_active && handle.is_referenced && handle.type !== 'loop');
  const lines = open.map(({ type, is_active: _active, is_referenced: _referenced, address: _address, ...details }) => {
    return `  ${type} ${JSON.stringify(details)}`;
  });
  return [...lines, `  ${process.getActiveResourcesInfo().join(', ')}`].join('\n');
}
