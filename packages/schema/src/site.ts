import { z } from 'zod';
import { MAX_NAME } from './shape.ts';

/**
 * The name of a value inside a model, as TransformerLens says it: `blocks.3.attn.hook_z`. Whether a model has such a
 * site, its graph says.
 */
export const Site = z
  .string()
  .max(MAX_NAME)
  .regex(/^\w+(\.\w+)*$/, { error: 'expected a site such as blocks.3.attn.hook_z' });
export type Site = z.infer<typeof Site>;
