import type { Primary } from '../../../primary/primary.ts';
import { needed } from '../context.ts';

/** The schema of the functions that begin and end a backup. */
export function helperSchemaOf({ facts }: Pick<Primary, 'facts'>): string {
  return needed(facts.helperSchema, 'the schema of the helper functions');
}
