// What `logs --details` puts before each line: the labels and variables that the log options of a container name.
import type { ContainerInfo } from '../../runtime/container/contract.ts';

export function logDetails({ config, id, name }: ContainerInfo): string {
  const { options } = config.logDriver;
  const variables = Object.fromEntries(
    config.env.map((entry) => [entry.split('=', 1)[0] ?? '', entry.replace(/^[^=]*=?/, '')]),
  );
  const found = {
    ...chosen(config.labels, options['labels'], options['labels-regex']),
    ...chosen(variables, options['env'], options['env-regex']),
    ...(options['tag'] ? { tag: tagOf(options['tag'], { id, name, image: config.image }) } : {}),
  };
  return Object.entries(found)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join(',');
}

function chosen(from: Readonly<Record<string, string>>, names = '', pattern = ''): Record<string, string> {
  const listed = names.split(',');
  const matches = pattern === '' ? undefined : new RegExp(pattern);
  return Object.fromEntries(
    Object.entries(from).filter(([key]) => listed.includes(key) || matches?.test(key) === true),
  );
}

function tagOf(template: string, facts: { id: string; name: string; image: string }): string {
  const values: Readonly<Record<string, string>> = {
    '.ID': facts.id.slice(0, 12),
    '.FullID': facts.id,
    '.Name': facts.name,
    '.ImageName': facts.image,
  };
  return template.replace(/\{\{\s*(\.\w+)\s*\}\}/g, (whole, key: string) => values[key] ?? whole);
}
