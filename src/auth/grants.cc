// grants
