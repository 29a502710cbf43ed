// Every row of the comparison at the newest version of the API, which Debian's engine does not speak: what Shoal answers is
// held against the published description instead. SHOAL_ENGINE_API names the file.
import { EngineDescription } from '../api/support/shape-check.ts';
import { Contract } from './contract.ts';
import { answersOf, ROWS } from './raw.ts';
import type { WireAnswer } from './wire.ts';

const NEWEST = '1.51';

/** What is answered in another way than described: nothing, or a sentence for each fault. */
export async function faultsOf(socketPath: string, path: string): Promise<{ checked: number; faults: string[] }> {
  const [contract, description] = [new Contract(path), new EngineDescription(path)];
  const faults: string[] = [];
  let checked = 0;
  for (const row of ROWS.filter(({ name }) => !name.startsWith('version '))) {
    for (const { step, answer } of await answersOf(socketPath, { ...row, version: NEWEST })) {
      const [method = '', ...rest] = step.at.split(' ');
      const url = rest.join(' ');
      const template = contract.templateOf(method, url);
      if (template === undefined) continue;
      checked += 1;
      const said =
        answer instanceof Error
          ? [`no answer: ${answer.message}`]
          : faultsOfAnswer(description, [method, template], answer);
      faults.push(...said.map((fault) => `${row.name}: ${step.at}: ${fault}`));
    }
  }
  return { checked, faults };
}

function faultsOfAnswer(
  description: EngineDescription,
  [method, template]: [string, string],
  { status, headers, body }: WireAnswer,
): string[] {
  if (!description.allows(method, template, status)) return isUsual(status) ? [] : [`${status} is not described`];
  const documents = headers['content-type'] === 'application/json' ? jsonOf(body) : undefined;
  if (documents?.length !== 1 || !description.hasShape(method, template, status)) return [];
  return description.faults(method, template, status, documents[0]);
}

/** The description leaves out that a stream is hijacked, many errors of clients, and what a log driver can not do. */
const isUsual = (status: number): boolean => status === 101 || status === 501 || (status >= 400 && status < 500);

/** Streams of progress are several documents, which the description does not have. */
function jsonOf(body: Buffer): unknown[] {
  return body
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): unknown => JSON.parse(line));
}
