import { printable } from './printable.ts';
import { programVersion } from './program-root.ts';

export interface DocumentOrigin {
  readonly program: 'cmd_archiver' | 'cmd_standby';
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/**
 * How our JSON documents begin.
 *
 * @param version of the document's form: it changes when a field is removed or changes its meaning; a new field does not change it
 */
export function documentHead(version: number, { program, host, atMs }: DocumentOrigin) {
  return {
    version,
    program,
    programVersion: programVersion(),
    host,
    at: new Date(atMs).toISOString(),
  };
}

/** One line of JSON for a terminal or a pipe: text of other hosts in it may contain any character. */
export function jsonLine(value: object): string {
  return printable(JSON.stringify(value));
}
