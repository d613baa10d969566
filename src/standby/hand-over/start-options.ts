import { join } from 'node:path';
import { readIfExists } from '../../system/durable.ts';
import type { Server } from '../server/server.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';

/** The words of postmaster.opts: the program, and its arguments in quotes, in which nothing is escaped. */
function wordsOf(text: string): readonly string[] {
  return [...text.trim().matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/**
 * The parameters with which a server was started last, as its postmaster.opts has them; undefined for a start with other
 * options than those.
 */
export function parametersOfStart(text: string): ReadonlyMap<string, string> | undefined {
  const [, ...words] = wordsOf(text);
  const parameters = new Map<string, string>();
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    const long = /^--([a-z_]+)=(.*)$/i.exec(word);
    const next = words[index + 1] ?? '';
    const pair = word === '-c' ? /^([a-z_.]+)=(.*)$/i.exec(next) : long;
    if (word === '-D' || word === '-c') index += 1;
    else if (long === null) return undefined;
    if (word === '-D') continue;
    if (pair === null) return undefined;
    parameters.set(pair[1] ?? '', pair[2] ?? '');
  }
  return parameters;
}

/** The configuration with which a primary ran that is to run again as before. */
export async function configurationBefore(server: Server): Promise<ServerConfiguration> {
  const configuration = await readConfiguration(server, 'failover');
  const text = await readIfExists(join(server.pgdata, 'postmaster.opts'));
  const parameters = text === undefined ? undefined : parametersOfStart(text.toString('utf8'));
  return parameters === undefined ? configuration : { ...configuration, parameters };
}
