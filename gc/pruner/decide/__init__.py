"""What may go: roots, marks, the plan and the fuses; pure, but for the look that gathers what they need."""
