/** The parts of a plan of --setup. Pure. */
import type { HostAddress } from '../host-address.ts';
import type { PublicKey } from './public-key.ts';

export type SetupStep =
  | { readonly kind: 'make-keys'; readonly directory: string }
  | { readonly kind: 'pin-host'; readonly address: HostAddress }
  | { readonly kind: 'authorize'; readonly path: string; readonly keys: readonly PublicKey[] }
  | { readonly kind: 'send-keys'; readonly address: HostAddress; readonly keys: readonly PublicKey[] }
  | { readonly kind: 'write-file'; readonly path: string; readonly text: string; readonly isSecret: boolean }
  | {
      readonly kind: 'write-hba';
      readonly path: string;
      readonly lines: readonly string[];
    }
  | { readonly kind: 'alter-system'; readonly statements: readonly string[] }
  | { readonly kind: 'install-helpers'; readonly file: string }
  | { readonly kind: 'reload' }
  | { readonly kind: 'make-role'; readonly role: string; readonly where: 'here' | 'primary' }
  | { readonly kind: 'initialize'; readonly program: 'cmd_archiver' | 'cmd_standby' };

/** Something that only a person can do; the commands are typed as they are. */
export interface Todo {
  /** `here`, `here, as root`, `on beta`. */
  readonly where: string;
  readonly why: string;
  readonly lines: readonly string[];
}

export interface Plan {
  readonly steps: readonly SetupStep[];
  readonly todos: readonly Todo[];
  /** Differences that may be intended. */
  readonly notes: readonly string[];
}

export const nothing: Plan = { steps: [], todos: [], notes: [] };

export function joined(...plans: readonly Plan[]): Plan {
  return {
    steps: plans.flatMap(({ steps }) => steps),
    todos: plans.flatMap(({ todos }) => todos),
    notes: plans.flatMap(({ notes }) => notes),
  };
}

export const todo = (where: string, why: string, ...lines: readonly string[]): Plan => ({
  ...nothing,
  todos: [{ where, why, lines }],
});

export const steps = (...list: readonly SetupStep[]): Plan => ({ ...nothing, steps: list });
