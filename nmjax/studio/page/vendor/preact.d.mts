export function h(...values: any[]): any;
export function render(tree: any, parent: Element): void;
