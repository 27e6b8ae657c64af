// @ts-check
/** What the report shows with web components; their properties are JSON in the page. */
import "../../html/components/ab-player.js";
import "../../html/components/chart.js";
import "../../html/components/eq-display.js";
