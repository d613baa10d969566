import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import type { Finished } from '../harness/processes.ts';

const fitsSchema = new Ajv({ allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(checkout('doc', 'ledger.schema.json'), 'utf8')) as object,
);

/** The object that was printed, if it has the form that doc/ledger.schema.json describes. */
export function printed(stdout: string): unknown {
  const value: unknown = JSON.parse(stdout);
  if (!fitsSchema(value)) throw new Error(`${JSON.stringify(fitsSchema.errors)}: ${stdout}`);
  return value;
}

/** The parts of `--ledger --json` that tests look at. */
interface ShownLedger {
  readonly standby: string;
  readonly delivered: readonly {
    readonly first: string;
    readonly last: string;
    readonly segments: number;
    readonly learned: number;
  }[];
  readonly missing: readonly { readonly first: string; readonly last: string; readonly why: string }[];
  readonly events: readonly { readonly kind: string; readonly user: string; readonly host: string }[];
  readonly refused: readonly { readonly line: number }[];
}

/** By the standby's name. */
export function shownLedger({ code, stdout, stderr }: Finished, standby: string): ShownLedger {
  expect(code, stderr).toBe(0);
  const { standbys } = printed(stdout) as { standbys: readonly ShownLedger[] };
  const ledger = standbys.find((one) => one.standby === standby);
  if (ledger === undefined) throw new Error(`no ledger of ${standby} in ${stdout}`);
  return ledger;
}

/** The ranges that are open, as they are on the disk now. */
export function writtenLedger(lArchiveDir: string, standby: string): string {
  return readFileSync(join(lArchiveDir, '.archiver', 'ledger', standby), 'utf8');
}

/** Of `--history --json`. */
export function shownEvents({ code, stdout, stderr }: Finished) {
  expect(code, stderr).toBe(0);
  const { events } = printed(stdout) as {
    events: readonly { readonly kind: string; readonly at: string; readonly standby?: string }[];
  };
  return events;
}
