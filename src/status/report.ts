/** All that --status has to say, before it is shown in one of its forms. */
import type { Finding } from './finding.ts';

/** A table for people. */
export interface Section {
  readonly title: string;
  readonly head?: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A number for machines; undefined if it is not known. */
export interface Metric {
  /** By Prometheus' rules, with its unit at the end; without the prefix `pitrtools_`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly samples: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number | undefined;
  }[];
}

export function gauge(name: string, help: string, samples: Metric['samples']): Metric {
  return { name, help, type: 'gauge', samples };
}

/** The sample of a number of which there is only one. */
export function one(value: number | undefined): Metric['samples'] {
  return [{ labels: {}, value }];
}

export interface StatusReport {
  readonly program: 'cmd_archiver' | 'cmd_standby';
  readonly programVersion: string;
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The worst first. */
  readonly findings: readonly Finding[];
  /** For --json: see doc/status.md. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sections: readonly Section[];
  readonly metrics: readonly Metric[];
}
