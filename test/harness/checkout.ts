import { join, resolve } from 'node:path';

/** Root of the checkout whose programs are tested; `PITRTOOLS_TEST_CHECKOUT` names another one. */
export function checkout(...path: string[]): string {
  return join(process.env['PITRTOOLS_TEST_CHECKOUT'] ?? resolve(import.meta.dirname, '..', '..'), ...path);
}
