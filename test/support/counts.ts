// What a test process reports back to the runner.
import { asArray, asInteger, asObject, asString, parseJson } from '../../base/parse.ts';

export interface Skipped {
  readonly title: string;
  readonly reason: string;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly Skipped[];
}

export function parseCounts(text: string): Counts {
  const json = asObject(parseJson(text, 'counts'), 'counts');
  return {
    passed: asInteger(json['passed'], 'passed'),
    failed: asInteger(json['failed'], 'failed'),
    skipped: asArray(json['skipped'], 'skipped', (value, path) => {
      const skip = asObject(value, path);
      return { title: asString(skip['title'], path), reason: asString(skip['reason'], path) };
    }),
  };
}
