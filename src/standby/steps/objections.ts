import { PitrError, refusal } from '../../errors.ts';
import type { Log } from '../../system/log.ts';
import { type Force, type ForceName, overrules } from './force.ts';

/** Why an action must not begin. */
export interface Objection {
  /** `--force=NAME` overrules the objection by this name. An objection without a name cannot be overruled. */
  readonly name?: ForceName;
  readonly message: string;
  /** The way to solve it. */
  readonly hint?: string | undefined;
  /** The consequence of overruling it, as the end of a sentence. */
  readonly cost?: string;
}

/** For lists, such as plans and objections, some parts of which depend on the facts. */
export function when<const T>(isSo: boolean, ...items: readonly T[]): readonly T[] {
  return isSo ? items : [];
}

function objectionOf(error: unknown): Objection {
  if (!(error instanceof PitrError)) throw error;
  const hint = [error.detail, error.hint].filter(Boolean).join(' ');
  return { message: error.message, hint: hint === '' ? undefined : hint };
}

/** Turns errors that would end the program into objections, so that all are reported at once. */
export async function objectionsOf(tries: readonly (() => unknown)[]): Promise<readonly Objection[]> {
  const found: Objection[] = [];
  for (const make of tries) {
    try {
      await make();
    } catch (error) {
      found.push(objectionOf(error));
    }
  }
  return found;
}

/** The same for a value that is needed if there are no objections. */
export interface Attempt<T> {
  readonly objections: readonly Objection[];
  /** Throws if there is no value. */
  readonly value: () => T;
}

export function attempt<T>(make: () => T): Attempt<T> {
  try {
    const value = make();
    return { objections: [], value: () => value };
  } catch (error) {
    return {
      objections: [objectionOf(error)],
      value: () => {
        throw error;
      },
    };
  }
}

export function isOverruled({ name }: Objection, force: Force): boolean {
  return name !== undefined && overrules(force, name);
}

/** How to solve an objection: by its remedy, or by overruling it by its name. */
function wayOut({ name, hint, cost }: Objection, force: Force): string | undefined {
  if (name === undefined) return hint;
  const price = cost === undefined ? '' : `: ${cost}`;
  const overruling =
    force.kind === 'answered' ? force.otherwise?.(name) : `--force=${name} continues anyway${price}.`;
  return [hint, overruling].filter(Boolean).join(' ');
}

const untouched = 'nothing was changed';

function describe(objection: Objection, force: Force): string {
  return `- ${objection.message}. ${wayOut(objection, force) ?? ''}`.trimEnd();
}

/** Refuses if there are objections that are not overruled; names all of them at once. */
export function refuseOn(objections: readonly Objection[], force: Force): void {
  const [first, ...others] = objections.filter((objection) => !isOverruled(objection, force));
  if (first === undefined) return;
  throw refusal(first.message.endsWith(untouched) ? first.message : `${first.message}; ${untouched}`, {
    detail:
      others.length === 0
        ? undefined
        : ['also:', ...others.map((other) => describe(other, force))].join('\n'),
    hint: wayOut(first, force),
  });
}

/** Reports the overruled objections before anything changes. */
export function sayOverruled(
  { log }: { readonly log: Log },
  objections: readonly Objection[],
  force: Force,
): void {
  for (const objection of objections) {
    if (!isOverruled(objection, force)) continue;
    const { name, message, cost } = objection;
    const by = force.kind === 'answered' ? force.by : `--force=${name ?? ''}`;
    log.warning(`${message}; continuing anyway (${by})${cost === undefined ? '' : `: ${cost}`}`);
  }
}

/** The objection of an action that must not run while this host's server runs. */
export function runningObjection({ pgdata }: { readonly pgdata: string }, pid: number): Objection {
  return {
    message: `PostgreSQL is running already in "${pgdata}" (pid ${pid})`,
    hint: 'To stop it: cmd_standby -C FILE -A stop',
  };
}
