// exit.json: what a shim leaves for a daemon that was not there.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { asBoolean, asInteger, asObject, asString, parseJson } from '../../base/parse.ts';
import type { ExitRecord } from './contract.ts';

/** The exit of the last run; undefined if there is none, or it was cut short by a power loss. */
export async function readExitRecord(stateDirectory: string, containerId: string): Promise<ExitRecord | undefined> {
  try {
    const record = asObject(
      parseJson(await readFile(join(stateDirectory, 'exit.json'), 'utf8'), 'exit.json'),
      'exit.json',
    );
    if (asString(record['containerId'], 'containerId') !== containerId) return undefined;
    return {
      exitCode: asInteger(record['exitCode'], 'exitCode', { min: 0, max: 255 }),
      signal: asInteger(record['signal'], 'signal', { min: 0, max: 64 }),
      oomKilled: asBoolean(record['oomKilled'], 'oomKilled'),
      atMs: asInteger(record['atMs'], 'atMs', { min: 0 }),
    };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || (error instanceof CodedError && error.code === 'invalid')) return undefined;
    throw error;
  }
}
