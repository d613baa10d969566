/** The record in a data directory says of a switchover that has stopped its server. Both programs read it. */
import { join } from 'node:path';
import { readIfExists } from './durable.ts';
import { type Guarded, is, parseJson } from './json.ts';

/** In a data directory: what cmd_standby has done there. */
export const recordFileName = 'pitrtools.json';

export const isStoppedFor = is.object({
  host: is.text,
  timeline: is.number,
  /** The run that asked last. */
  token: is.optional(is.text),
  /** When it was asked first, in ISO 8601. */
  since: is.optional(is.text),
  /** Its last checkpoint as the primary, and the end of that record; set once it was shut down. */
  checkpoint: is.optional(is.text),
  end: is.optional(is.text),
});

export type StoppedFor = Guarded<typeof isStoppedFor>;

function parse(content: string): StoppedFor | undefined {
  return parseJson(content, { stoppedFor: is.optional(isStoppedFor) }).stoppedFor;
}

/** From the text of another host's record. One that cannot be understood says nothing. */
export function stoppedForIn(content: string): StoppedFor | undefined {
  try {
    return parse(content);
  } catch {
    return undefined;
  }
}

/** Throws if the record cannot be read or understood. */
export async function readStoppedFor(pgdata: string): Promise<StoppedFor | undefined> {
  const content = await readIfExists(join(pgdata, recordFileName));
  return content === undefined ? undefined : parse(content.toString('utf8'));
}
